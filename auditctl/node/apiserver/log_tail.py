"""Read what is appended to a log, across rotation as the server does it: rename, a moment without the file, a new one."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_CHUNK_BYTES = 1 << 20


@dataclass(slots=True, kw_only=True)
class Tail:
    """A reader that begins at the end of the file as it is now (or at its beginning, once it appears)."""

    path: Path
    descriptor: int = -1
    offset: int = 0
    started_at: int = 0
    grew_bytes: int = 0
    _rest: bytes = b""
    _line: int = -1

    @classmethod
    def at_end(cls, path: Path) -> Tail:
        tail = cls(path=path)
        if tail._open():
            tail.offset = tail.started_at = os.fstat(tail.descriptor).st_size
        return tail

    @property
    def identity(self) -> tuple[int, int] | None:
        """Return (device, inode) of the file that is read now."""
        if self.descriptor < 0:
            return None
        status = os.fstat(self.descriptor)
        return status.st_dev, status.st_ino

    def lines(self) -> list[tuple[int, bytes]]:
        """Return the whole lines appended since the last call, each with its number in its file (from 1)."""
        parts = self._read()
        if self._replaced():
            parts += self._read()  # drain the old one first: it was written to before the rename
            self._close()
        if self.descriptor < 0 and self._open():
            parts += self._read()
        return parts

    def close(self) -> None:
        self._close()

    def _read(self) -> list[tuple[int, bytes]]:
        if self.descriptor < 0:
            return []
        if os.fstat(self.descriptor).st_size < self.offset:  # truncated from outside
            self.offset, self._rest, self._line = 0, b"", 0
        parts: list[tuple[int, bytes]] = []
        end = os.fstat(self.descriptor).st_size  # what comes meanwhile is for the next look
        while self.offset < end and (chunk := os.pread(self.descriptor, _CHUNK_BYTES, self.offset)):
            self.offset += len(chunk)
            self.grew_bytes += len(chunk)
            *whole, self._rest = (self._rest + chunk).split(b"\n")
            parts += [(self._next_line(), line) for line in whole]
        return parts

    def _next_line(self) -> int:
        if self._line < 0:
            self._line = _count_lines(self.descriptor, self.started_at)
        self._line += 1
        return self._line

    def _replaced(self) -> bool:
        if self.descriptor < 0:
            return False
        with suppress(OSError):
            status = self.path.stat()
            return (status.st_dev, status.st_ino) != self.identity
        return False  # a moment without the file: keep the old one until the new one is there

    def _open(self) -> bool:
        """Open it, if it is a regular file: a device has no end, a pipe waits for a writer."""
        with suppress(OSError):
            self.descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            if not stat.S_ISREG(os.fstat(self.descriptor).st_mode):
                self._close()
                return False
            self.offset, self.started_at, self._rest, self._line = 0, 0, b"", -1
            return True
        return False

    def _close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1


def _count_lines(descriptor: int, end: int) -> int:
    count = at = 0
    while at < end and (chunk := os.pread(descriptor, min(_CHUNK_BYTES, end - at), at)):
        count += chunk.count(b"\n")
        at += len(chunk)
    return count
