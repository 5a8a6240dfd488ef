"""Which files, in time order, cut into pieces that processes can share."""

from __future__ import annotations

import errno
import gzip
import os
import re
import shutil
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.log.descriptors import read_at, same_file
from auditctl.log.segments import GZIP, STANDARD_INPUT, LogSegment
from auditctl.log.tally_file import is_tally
from auditctl.system import IS_LINUX, READ_ONLY

_PIECE_BYTES = 4 << 20
_PEEK_BYTES = 1 << 16
_STAMP = re.compile(rb'"stageTimestamp":\s*"([^"]{10,40})"')
_NAMED_STAMP = re.compile(r"-(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)\.(\d{3})\.")


class LogError(RefusedError):
    """A log that cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSource:
    """An open log. ``begins`` is the time of its first event (RFC 3339, UTC), "" where it is not known.

    ``streams``: it can be read once, from beginning to end (standard input, a pipe); ``head`` has been read of it.
    ``is_tally``: it holds counts, no events.
    """

    name: str
    descriptor: int
    size_bytes: int = 0
    compressed: bool = False
    begins: str = ""
    streams: bool = False
    is_tally: bool = False
    head: bytes = b""


def open_sources(names: Iterable[str]) -> list[LogSource]:
    """Return the logs, open, in time order, each once. A directory is all files in it; ``-`` is standard input.

    Raises:
        LogError: one is missing or cannot be read, or a directory has no file.
    """
    result: list[LogSource] = []
    met: set[tuple[int, int]] = set()
    try:
        for name in _files(names):
            source = _open(name)
            result.append(source)
            status = os.fstat(source.descriptor)
            if (status.st_dev, status.st_ino) in met:  # the same file under another name
                os.close(result.pop().descriptor)
            met.add((status.st_dev, status.st_ino))
    except BaseException:
        close(result)
        raise
    return sorted(result, key=lambda source: (source.begins or "9999", source.name))


def _files(names: Iterable[str]) -> Iterator[str]:
    listed: list[str] = []
    for name in names:
        listed += [name] if name == STANDARD_INPUT else _expanded(name)
    # while the server compresses, both are there, and the compressed one may be incomplete
    yield from (name for name in listed if not (name.endswith(".gz") and name.removesuffix(".gz") in listed))


def _expanded(name: str) -> list[str]:
    """Return the file, or those in the directory, but for hidden ones and links that another user made."""
    path = Path(name)
    try:
        if not stat.S_ISDIR(path.stat().st_mode):
            return [name]
        result = _files_below(path)
        if not result:  # a folder of a folder for each node
            result = [file for folder in sorted(path.iterdir()) if folder.is_dir() for file in _files_below(folder)]
    except OSError as error:
        raise unreadable(name, error) from error
    if not result:
        raise LogError(f"{name}: there is no file in this directory", check="log-missing", fix="give the file of a log")
    return result


def _files_below(folder: Path) -> list[str]:
    return sorted(str(each) for each in folder.iterdir() if _is_listed(each))


def _is_listed(path: Path) -> bool:
    trusted = {0, os.geteuid()} if IS_LINUX else {path.lstat().st_uid}
    return (
        not path.name.startswith(".") and path.is_file() and (not path.is_symlink() or path.lstat().st_uid in trusted)
    )


def unreadable(name: str, error: OSError, fix: str = "specify the path of a log with --log") -> LogError:
    """Return what the system said of a log, in one sentence."""
    reason = (error.strerror or str(error)).lower()
    fix = "run it as root (sudo)" if isinstance(error, PermissionError) else fix
    return LogError(f"{name}: cannot read the log: {reason}", check="log-missing", fix=fix)


def _open(name: str) -> LogSource:
    try:
        if name == STANDARD_INPUT:
            return _opened_stream(name, _standard_input())
        descriptor = os.open(name, READ_ONLY)
    except OSError as error:
        raise unreadable(name, error) from error
    try:
        head = read_at(descriptor, _PEEK_BYTES, 0)
    except OSError as error:
        if error.errno == errno.ESPIPE:
            return _opened_stream(name, descriptor)
        os.close(descriptor)
        raise unreadable(name, error) from error
    compressed = head.startswith(GZIP)
    if compressed:
        with suppress(OSError, EOFError, zlib.error), gzip.open(same_file(descriptor, name)) as file:
            head = file.read(_PEEK_BYTES)
    return LogSource(
        name=name,
        descriptor=descriptor,
        size_bytes=os.fstat(descriptor).st_size,
        compressed=compressed,
        begins=_begins(name, head),
        is_tally=is_tally(head),
    )


def _opened_stream(name: str, descriptor: int) -> LogSource:
    """Return a log that comes as a stream; of a tally, which is a few kB, a copy in memory that can be read as a file.

    Its first bytes say which of them it is: they are kept for the reader of the stream.
    """
    head = os.read(descriptor, _PEEK_BYTES)
    text = head
    if head.startswith(GZIP):
        with suppress(zlib.error):
            text = zlib.decompressobj(wbits=31).decompress(head, _PEEK_BYTES)
    if not is_tally(text) or not IS_LINUX:
        return LogSource(name=name, descriptor=descriptor, streams=True, head=head)
    copy = os.memfd_create("tally", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream, open(copy, "wb", closefd=False) as file:
        file.write(head)
        shutil.copyfileobj(stream, file)
    size = os.fstat(copy).st_size
    return LogSource(name=name, descriptor=copy, size_bytes=size, compressed=head.startswith(GZIP), is_tally=True)


def _standard_input() -> int:
    if sys.stdin is None:  # its number may be another file's by now
        raise OSError(errno.EBADF, "standard input is closed")
    return os.dup(sys.stdin.fileno())


def _begins(name: str, head: bytes) -> str:
    if stamp := _STAMP.search(head):
        return stamp[1].decode("ascii", "replace")
    if named := _NAMED_STAMP.search(Path(name).name):
        day, hour, minute, second, milliseconds = named.groups()
        return f"{day}T{hour}:{minute}:{second}.{milliseconds}"
    return ""


def pieces(sources: Sequence[LogSource]) -> list[LogSegment]:
    """Plain files in parts of 4 MiB; a compressed file and a stream are one piece each."""
    result: list[LogSegment] = []
    for source in sources:
        if source.compressed or source.streams or not source.size_bytes:
            result.append(_whole(source))
            continue
        starts = range(0, source.size_bytes, _PIECE_BYTES)
        result += [
            LogSegment(source.name, source.descriptor, start, min(start + _PIECE_BYTES, source.size_bytes))
            for start in starts
        ]
    return result


def whole_pieces(sources: Sequence[LogSource]) -> list[LogSegment]:
    """Return each log in one piece, for those who read in order."""
    return [_whole(source) for source in sources]


def _whole(source: LogSource) -> LogSegment:
    return LogSegment(
        source.name, source.descriptor, compressed=source.compressed, streams=source.streams, head=source.head
    )


def close(sources: Iterable[LogSource]) -> None:
    """Give the descriptors back."""
    for source in sources:
        if source.descriptor >= 0:
            os.close(source.descriptor)
