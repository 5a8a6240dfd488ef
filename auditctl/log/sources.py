"""Which files, in time order, cut into pieces that processes can share."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.log.blocks import STANDARD_INPUT, Piece

_PIECE_BYTES = 16 << 20
_PEEK_BYTES = 1 << 16
_STAMP = re.compile(rb'"stageTimestamp":\s*"([^"]{10,40})"')
_NAMED_STAMP = re.compile(r"-(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)\.(\d{3})\.")


class LogError(RefusedError):
    """A log that cannot be read."""


class Source(NamedTuple):
    """An open log. ``begins`` is the time of its first event (RFC 3339, UTC), "" where it is not known."""

    name: str
    descriptor: int
    size_bytes: int
    compressed: bool
    begins: str


def open_sources(names: Iterable[str]) -> list[Source]:
    """The logs, open, in time order. A directory is all files in it; ``-`` is standard input.

    Raises:
        LogError: one is missing or cannot be read.
    """
    found = [_open(name) for name in dict.fromkeys(_files(names))]
    return sorted(found, key=lambda source: (source.begins or "9999", source.name))


def _files(names: Iterable[str]) -> Iterator[str]:
    listed: list[str] = []
    for name in names:
        path = Path(name)
        if name != STANDARD_INPUT and path.is_dir():
            listed += sorted(str(each) for each in path.iterdir() if each.is_file() and not each.name.startswith("."))
        else:
            listed.append(name)
    # while the server compresses, both are there, and the compressed one may be incomplete
    yield from (name for name in listed if not (name.endswith(".gz") and name.removesuffix(".gz") in listed))


def _open(name: str) -> Source:
    if name == STANDARD_INPUT:
        return Source(name, -1, 0, compressed=False, begins="")
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        head = os.pread(descriptor, _PEEK_BYTES, 0)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        fix = "run it as root (sudo)" if isinstance(error, PermissionError) else "name the log with --log"
        raise LogError(f"{name}: cannot read the log: {reason}", check="log-missing", fix=fix) from error
    compressed = head.startswith(b"\x1f\x8b")
    if compressed:
        with suppress(OSError, EOFError), gzip.open(f"/proc/self/fd/{descriptor}") as file:
            head = file.read(_PEEK_BYTES)
    return Source(name, descriptor, os.fstat(descriptor).st_size, compressed, _begins(name, head))


def _begins(name: str, head: bytes) -> str:
    if stamp := _STAMP.search(head):
        return stamp[1].decode("ascii", "replace")
    if named := _NAMED_STAMP.search(Path(name).name):
        day, hour, minute, second, milliseconds = named.groups()
        return f"{day}T{hour}:{minute}:{second}.{milliseconds}"
    return ""


def pieces(sources: Sequence[Source]) -> list[Piece]:
    """Plain files in parts of 16 MiB; a compressed file and standard input are one piece each."""
    found: list[Piece] = []
    for source in sources:
        if source.compressed or source.name == STANDARD_INPUT or not source.size_bytes:
            found.append(Piece(source.name, source.descriptor, compressed=source.compressed))
            continue
        starts = range(0, source.size_bytes, _PIECE_BYTES)
        found += [
            Piece(source.name, source.descriptor, start, min(start + _PIECE_BYTES, source.size_bytes))
            for start in starts
        ]
    return found


def whole_pieces(sources: Sequence[Source]) -> list[Piece]:
    """Each log in one piece, for those who read in order."""
    return [Piece(source.name, source.descriptor, compressed=source.compressed) for source in sources]


def close(sources: Iterable[Source]) -> None:
    """Give the descriptors back."""
    for source in sources:
        if source.descriptor >= 0:
            os.close(source.descriptor)
