"""What is appended to the log, across rotation as the server does it, and across truncation from outside.

Rotation (lumberjack v2.2.1): rename, a moment without the file, a new inode. So the old file is drained after the new one is
seen, and files that came and went between two looks are read whole. Truncation: the server's next write leaves a run of
NUL bytes at the old length, if the file was not opened for appending (reference 4).
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_CHUNK_BYTES = 1 << 18


class Follower:
    """Reads on from an offset of the file as it is now; ``texts`` is called again and again.

    ``rotated`` lists the rotated files: their names are in the order of time. ``earlier`` are those that were there before.
    """

    def __init__(self, path: Path, rotated: Callable[[], Iterable[Path]], *, from_end: bool) -> None:
        self._path = path
        self._rotated = rotated
        self._rest = b""
        self.offset = 0
        self.truncations = 0
        self._descriptor = self._open()
        names = self._names()
        self._newest = max(names, default="")
        self.earlier = tuple(path for _, path in sorted(names.items()) if not self._is_mine(path))
        if self._descriptor >= 0 and from_end:
            self.offset = self._after_last_line(os.fstat(self._descriptor).st_size)

    def texts(self) -> Iterator[tuple[bytes, int]]:
        """Whole lines that were appended since the last call, with their offset in their file."""
        if self._descriptor < 0:
            self._descriptor = self._open()
        yield from self._appended()
        while self._is_replaced():
            following = self._open()
            if following < 0:
                return
            yield from self._appended()  # drain the old one: it was written to before the rename
            yield from self._leftover()
            missed = self._missed(following)
            self.close()
            for path in missed:
                yield from self._whole(path)
            self._descriptor, self.offset = following, 0
            yield from self._appended()

    def close(self) -> None:
        """Give the descriptor back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _appended(self) -> Iterator[tuple[bytes, int]]:
        if self._descriptor < 0:
            return
        if os.fstat(self._descriptor).st_size < self.offset:
            self.offset, self._rest = 0, b""
            self.truncations += 1
        while chunk := os.pread(self._descriptor, _CHUNK_BYTES, self.offset):
            begins = self.offset - len(self._rest)
            self.offset += len(chunk)
            if not self._rest:
                bare = chunk.lstrip(b"\0")
                begins, chunk = begins + len(chunk) - len(bare), bare
            last = chunk.rfind(b"\n") + 1
            if not last:
                self._rest += chunk
                continue
            text, self._rest = self._rest + chunk[:last], chunk[last:]
            yield text, begins

    def _leftover(self) -> Iterator[tuple[bytes, int]]:
        """A torn last line: nobody will end it any more."""
        if self._rest:
            yield self._rest, self.offset - len(self._rest)
            self._rest = b""

    def _missed(self, following: int) -> list[Path]:
        """Files that were opened, filled and rotated between two looks, in the order of time.

        The first new name is the old file's own, if the server has not removed it already.
        """
        next_one = _status(following)
        missed: list[Path] = []
        fresh = sorted((name, path) for name, path in self._names().items() if name > self._newest)
        for index, (name, path) in enumerate(fresh):
            if _identity(path) == next_one:
                break  # renamed since: its turn comes
            self._newest = name
            if not self._is_mine(path) and not (index == 0 and path.suffix == ".gz"):
                missed.append(path)
        return missed

    def _names(self) -> dict[str, Path]:
        """Rotated files by the name that they had before compression; the plain one, while there are both."""
        found: dict[str, Path] = {}
        for path in sorted(each for each in self._rotated() if each != self._path):
            found.setdefault(path.name.removesuffix(".gz"), path)
        return found

    def _whole(self, path: Path) -> Iterator[tuple[bytes, int]]:
        with suppress(OSError, EOFError, zlib.error):
            if path.suffix == ".gz":
                with gzip.open(path) as file:
                    yield file.read(), 0
                return
            self._descriptor, self.offset = os.open(path, os.O_RDONLY | os.O_CLOEXEC), 0
            yield from self._appended()
            yield from self._leftover()
            self.close()

    def _is_mine(self, path: Path) -> bool:
        return self._descriptor >= 0 and _identity(path) == _status(self._descriptor)

    def _is_replaced(self) -> bool:
        """Is there a new file at the path? A moment without one is no answer yet."""
        if self._descriptor < 0:
            return False
        current = _identity(self._path)
        return current is not None and current != _status(self._descriptor)

    def _open(self) -> int:
        with suppress(OSError):
            return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        return -1

    def _after_last_line(self, size: int) -> int:
        """Of a line that is being written, the beginning belongs to what follows."""
        at = max(size - _CHUNK_BYTES, 0)
        last = os.pread(self._descriptor, size - at, at).rfind(b"\n") + 1
        return at + last if last else size


def _status(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
