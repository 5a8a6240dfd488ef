"""What is appended to the log, across rotation as the server does it, and across truncation from outside.

Rotation (lumberjack v2.2.1): rename, a moment without the file, a new inode. So the old file is drained after the new one is
seen, and files that came and went between two looks are read whole. Truncation: the server's next write leaves a run of
NUL bytes at the old length, if the file was not opened for appending.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from auditctl.log.damage import Damage
from auditctl.log.descriptors import read_at
from auditctl.log.line_assembly import CHUNK_BYTES, LineAssembler, texts
from auditctl.log.segments import GZIP, LogSegment, opened
from auditctl.log.sources import LogError, unreadable
from auditctl.system import READ_ONLY, open_flag

Text = tuple[bytes, int] | Damage
"""Whole lines with their offset in their file, or what is none."""


class Follower:
    """Reads on from an offset of the file as it is now; ``texts`` is called again and again.

    ``rotated`` lists the rotated files: their names are in the order of time. ``earlier`` are those that were there before.

    Raises:
        LogError: the log is there, and is no file that grows, or may not be read; when it is opened, also after a rotation.
    """

    def __init__(self, path: Path, rotated: Callable[[], Iterable[Path]], *, from_end: bool) -> None:
        self._path = path
        self._rotated = rotated
        self._gatherer = LineAssembler(0)
        self._offset = 0
        self._descriptor = self._open()
        names = self._names()
        self._newest = max(names, default="")
        self.earlier = tuple(path for _, path in sorted(names.items()) if not self._is_mine(path))
        if self._descriptor >= 0 and from_end:
            self._begin(self._after_last_line(os.fstat(self._descriptor).st_size))

    @property
    def waits(self) -> bool:
        """Return whether the log is not there yet."""
        return self._descriptor < 0

    def texts(self) -> Iterator[Text]:
        """Yield whole lines that were appended since the last call."""
        if self._descriptor < 0:
            self._descriptor = self._open()
        yield from self._appended()
        while self._is_replaced():
            following = self._open()
            if following < 0:
                return
            yield from self._appended()  # drain the old one: it was written to before the rename
            yield from self._gatherer.rest()  # a torn last line: nobody will end it any more
            missed = self._missed(following)
            self.close()
            for path in missed:
                yield from _whole(path)
            self._descriptor = following
            self._begin(0)
            yield from self._appended()

    def close(self) -> None:
        """Give the descriptor back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _begin(self, offset: int) -> None:
        self._offset, self._gatherer = offset, LineAssembler(offset)

    def _appended(self) -> Iterator[Text]:
        if self._descriptor < 0:
            return
        size = os.fstat(self._descriptor).st_size
        if size < self._offset:
            yield Damage("truncation from outside", size, 0)
            self._begin(0)
        while chunk := read_at(self._descriptor, CHUNK_BYTES, self._offset):
            self._offset += len(chunk)
            yield from self._gatherer.take(chunk)

    def _missed(self, following: int) -> list[Path]:
        """Return the files that were opened, filled and rotated between two looks, in the order of time.

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
        result: dict[str, Path] = {}
        with suppress(PermissionError):  # a folder that may be passed, not listed
            for path in sorted(each for each in self._rotated() if each != self._path):
                result.setdefault(path.name.removesuffix(".gz"), path)
        return result

    def _is_mine(self, path: Path) -> bool:
        return self._descriptor >= 0 and _identity(path) == _status(self._descriptor)

    def _is_replaced(self) -> bool:
        """Return whether a new file is at the path; a moment without any file is no answer yet."""
        if self._descriptor < 0:
            return False
        current = _identity(self._path)
        return current is not None and current != _status(self._descriptor)

    def _open(self) -> int:
        """Return the log, or -1 where it is not there (yet)."""
        descriptor = -1
        try:
            descriptor = os.open(self._path, READ_ONLY | open_flag("O_NONBLOCK"))
            compressed = read_at(descriptor, len(GZIP), 0) == GZIP
        except OSError as error:
            if descriptor >= 0:
                os.close(descriptor)
            if error.errno == errno.ENOENT:
                return -1
            raise unreadable(str(self._path), error, "-f follows the one file that the API server writes") from error
        if compressed:
            os.close(descriptor)
            raise LogError(f"{self._path}: nobody appends to a compressed file", check="log-missing", fix="without -f")
        return descriptor

    def _after_last_line(self, size: int) -> int:
        """Return the end of the last whole line: the beginning of an unfinished one belongs to what follows."""
        at = max(size - CHUNK_BYTES, 0)
        last = read_at(self._descriptor, size - at, at).rfind(b"\n") + 1
        return at + last if last else size


def _whole(path: Path) -> Iterator[Text]:
    """Yield a rotated file from its beginning to its end; compressed meanwhile, it has another name."""
    for name in (path, path.with_name(path.name + ".gz")):
        with suppress(FileNotFoundError):
            descriptor = os.open(name, READ_ONLY | open_flag("O_NONBLOCK"))  # a pipe of that name ends at once
            try:
                piece = LogSegment(str(name), descriptor, compressed=name.suffix == ".gz")
                with closing(opened(piece)) as file, suppress(EOFError, zlib.error):
                    yield from texts(file)
            finally:
                os.close(descriptor)
            return


def _status(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
