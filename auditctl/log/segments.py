"""Parts of a log that one process reads, and how each is opened: plain, compressed, or as a stream."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import IO, Any, NamedTuple, cast

from auditctl.log.descriptors import same_file

STANDARD_INPUT = "-"
GZIP = b"\x1f\x8b"
"""How a compressed file begins."""


class LogSegment(NamedTuple):
    """A part of a log: the lines that begin in it. ``end`` None is the end of the file.

    ``descriptor`` is held open, so that a rotation does not take the file away; ``name`` is for people.
    ``streams``: it can be read once, from beginning to end; ``head`` is what has been read of it already.
    """

    name: str
    descriptor: int
    start: int = 0
    end: int | None = None
    compressed: bool = False
    streams: bool = False
    head: bytes = b""


@contextmanager
def opened_file(piece: LogSegment) -> Iterator[IO[bytes]]:
    """Yield the piece's whole file, decompressed and buffered."""
    with closing(opened(piece)) as file:
        yield file if piece.compressed else cast("IO[bytes]", io.BufferedReader(cast("io.RawIOBase", file)))


def opened(piece: LogSegment) -> IO[bytes]:
    """Return the piece's whole file, decompressed, from its beginning."""
    if piece.streams:
        return cast("IO[bytes]", _Stream(piece.descriptor, piece.head))
    path = same_file(piece.descriptor, piece.name)  # a position of its own, whoever else reads
    if piece.compressed:
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return open(path, "rb", buffering=0)  # noqa: PTH123 (unbuffered, as it is read)


class _Resumed(io.RawIOBase):
    """A stream of which the first bytes have been read."""

    def __init__(self, descriptor: int, head: bytes) -> None:
        super().__init__()
        self._head = head
        self._rest = io.FileIO(os.dup(descriptor))

    def readable(self) -> bool:
        """Return whether it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what is left of the first bytes, else with what comes; return the bytes of it."""
        if not self._head:
            return self._rest.readinto(buffer) or 0
        part, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        """Close our copy of the descriptor."""
        self._rest.close()
        super().close()


class _Stream:
    """A pipe: read as it comes, compressed or not."""

    def __init__(self, descriptor: int, head: bytes) -> None:
        while len(head) < len(GZIP) and (more := os.read(descriptor, len(GZIP))):
            head += more
        self._plain = io.BufferedReader(_Resumed(descriptor, head))
        self._file = gzip.GzipFile(fileobj=self._plain) if head.startswith(GZIP) else self._plain

    def read(self, most: int) -> bytes:
        return self._file.read1(most)

    def close(self) -> None:
        self._file.close()
        self._plain.close()
