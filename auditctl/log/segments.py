"""Parts of a log that one process reads, and how each is opened: plain, compressed, or as a stream."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import IO, NamedTuple, cast

from auditctl.log.descriptors import same_file

STANDARD_INPUT = "-"
GZIP = b"\x1f\x8b"
"""How a compressed file begins."""


class LogSegment(NamedTuple):
    """A part of a log: the lines that begin in it. ``end`` None is the end of the file.

    ``descriptor`` is held open, so that a rotation does not take the file away; ``name`` is for people.
    ``streams``: it can be read once, from beginning to end, and shows only then whether it is compressed.
    """

    name: str
    descriptor: int
    start: int = 0
    end: int | None = None
    compressed: bool = False
    streams: bool = False


@contextmanager
def opened_file(piece: LogSegment) -> Iterator[IO[bytes]]:
    """Yield the piece's whole file, decompressed and buffered."""
    with closing(opened(piece)) as file:
        yield file if piece.compressed else cast("IO[bytes]", io.BufferedReader(cast("io.RawIOBase", file)))


def opened(piece: LogSegment) -> IO[bytes]:
    """Return the piece's whole file, decompressed, from its beginning."""
    if piece.streams:
        return cast("IO[bytes]", _Stream(piece.descriptor))
    path = same_file(piece.descriptor, piece.name)  # a position of its own, whoever else reads
    if piece.compressed:
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return open(path, "rb", buffering=0)  # noqa: PTH123 (unbuffered, as it is read)


class _Stream:
    """A pipe: read as it comes, compressed or not."""

    def __init__(self, descriptor: int) -> None:
        self._plain = os.fdopen(os.dup(descriptor), "rb")
        self._file = gzip.GzipFile(fileobj=self._plain) if self._plain.peek(2).startswith(GZIP) else self._plain

    def read(self, most: int) -> bytes:
        return self._file.read1(most)

    def close(self) -> None:
        self._file.close()
        self._plain.close()
