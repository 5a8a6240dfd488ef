"""A log to blocks of events, in the order of the file; memory does not grow with its size."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from operator import sub
from typing import NamedTuple

from auditctl.log.damage import Damage, ReadStatistics, RecoveredEvent, recover
from auditctl.log.events import CompactEvent, FullEvent, Reader
from auditctl.log.line_assembly import texts
from auditctl.log.segments import LogSegment, opened

_OPENING, _CLOSING = b"{}"
_CANONICAL = b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"'


class EventBlock(NamedTuple):
    """Events, and the bytes of each."""

    events: Sequence[CompactEvent]
    lines: Sequence[bytes]


class WholeBlock(NamedTuple):
    """The same with all the fields that people and filters ask for."""

    events: Sequence[FullEvent]
    lines: Sequence[bytes]


def blocks(piece: LogSegment, reader: Reader, account: ReadStatistics) -> Iterator[EventBlock]:
    """Yield the events of a piece. What is not an event is noted in ``account``."""
    for text, offset in _noted(piece, account):
        yield event_block(text, offset, piece.name, reader, account)


def event_block(text: bytes, offset: int, name: str, reader: Reader, account: ReadStatistics) -> EventBlock:
    """Return the events of a text of whole lines that stands at ``offset`` of the file ``name``."""
    lines = _split(text)
    try:
        events = reader.lines(text)
    except ValueError:
        events = ()
    if not _is_clean(lines, len(events)):
        lines = intact(name, lines, offset, reader, account)
        events = [reader.one(line) for line in lines]
    account.events += len(events)
    account.bytes += len(text)
    return EventBlock(events, lines)


class CountBlock(NamedTuple):
    """Events, and the bytes that each takes with its line end: what counting needs, without a copy of each line."""

    events: Sequence[CompactEvent]
    sizes: Sequence[int]


def count_blocks(
    piece: LogSegment, decode: Callable[[bytes], Sequence[CompactEvent]], reader: Reader, account: ReadStatistics
) -> Iterator[CountBlock]:
    """Yield the events of a piece. ``decode`` is ``lines`` or ``unnamed_lines`` of the reader."""
    for text, offset in _noted(piece, account):
        account.bytes += len(text)
        try:
            events = decode(text)
        except ValueError:
            events = ()
        sizes = _sizes(text, len(events))
        if not sizes:
            lines = intact(piece.name, _split(text), offset, reader, account)
            events, sizes = [reader.one(line) for line in lines], [len(line) + 1 for line in lines]
        account.events += len(events)
        yield CountBlock(events, sizes)


def _sizes(text: bytes, count: int) -> list[int]:
    """Return the bytes of each line with its end, if the text is so many lines of one JSON object each; else nothing.

    The text is known to be JSON objects one behind the other. Where ``}``, a line end and ``{`` meet, one of them ends:
    if all line ends are such places, and there are as many lines as objects, each line is an object. (Counting the bytes
    of a text costs as much as decoding it; a search for the next line end costs nearly nothing.)
    """
    ends, end, search = [0], 0, text.find
    for _ in range(count):
        end = search(b"\n", end) + 1
        ends.append(end)
    if not end and not text.endswith(b"\n"):  # the last line has no end
        ends[-1] = end = len(text) + 1
    if end < len(text) or not count or 0 in ends[1:]:
        return []
    inner = ends[1:-1]
    if any(text[at - 2] != _CLOSING or text[at] != _OPENING for at in inner):
        return []
    return list(map(sub, ends[1:], ends))


def selected_blocks(
    piece: LogSegment,
    decode: Callable[[bytes], Sequence[CompactEvent]],
    reader: Reader,
    account: ReadStatistics,
    test: Callable[[FullEvent], bool] | None,
    needle: bytes,
) -> Iterator[CountBlock]:
    """Yield the events of a piece that pass ``test``, all of them without one; a test needs the whole events."""
    if test is None:
        yield from count_blocks(piece, decode, reader, account)
        return
    for block in whole_blocks(piece, reader, account, needle):
        lines = [line for event, line in zip(block.events, block.lines, strict=True) if test(event)]
        if lines:
            yield CountBlock([reader.one(line) for line in lines], [len(line) + 1 for line in lines])


def whole_blocks(
    piece: LogSegment, reader: Reader, account: ReadStatistics, needle: bytes = b""
) -> Iterator[WholeBlock]:
    """As ``blocks``, with whole events. Those without ``needle`` in their bytes may be left out."""
    for text, offset in _noted(piece, account):
        yield whole_block(text, offset, piece.name, reader, account, needle)


def whole_block(
    text: bytes, offset: int, name: str, reader: Reader, account: ReadStatistics, needle: bytes = b""
) -> WholeBlock:
    """Return the events of a text of whole lines that stands at ``offset`` of the file ``name``."""
    if needle and (count := _canonical(text)):
        with suppress(ValueError):
            lines = _with_needle(text, needle)
            events: Sequence[FullEvent] = [reader.whole(line) for line in lines]
            account.events += count
            account.bytes += len(text)
            return WholeBlock(events, lines)
    lines = _split(text)
    try:
        events = reader.whole_lines(text)
    except ValueError:
        events = ()
    if not _is_clean(lines, len(events)):
        events, lines = _wholes(intact(name, lines, offset, reader, account), reader)
    account.events += len(events)
    account.bytes += len(text)
    return WholeBlock(events, lines)


def _canonical(text: bytes) -> int:
    """Return lines, if each begins and ends as the server's own, else 0: only in those a needle is spelled in one way.

    An event that follows half of another in its line is looked at all the same, if it has the needle.
    """
    if not (text.startswith(_CANONICAL) and text.endswith(b"}\n")):
        return 0
    lines = text.count(b"\n")
    return lines if text.count(b"}\n" + _CANONICAL) == lines - 1 else 0


def _with_needle(text: bytes, needle: bytes) -> list[bytes]:
    result: list[bytes] = []
    end = 0
    while (at := text.find(needle, end)) >= 0:
        begin, end = text.rfind(b"\n", end - 1 if end else 0, at) + 1, text.index(b"\n", at)
        result.append(text[begin:end])
    return result


def _wholes(lines: list[bytes], reader: Reader) -> tuple[list[FullEvent], list[bytes]]:
    events, kept = [], []
    for line in lines:
        try:
            events.append(reader.whole(line))
        except ValueError:  # has what counting needs, and something odd beside it
            continue
        kept.append(line)
    return events, kept


def _is_clean(lines: Sequence[bytes], events: int) -> bool:
    """Return whether every line is one event; only then the n-th line is the n-th event. See ``_sizes``."""
    if events != len(lines):
        return False
    return all(line.startswith(b"{") for line in lines[1:]) and all(line.endswith(b"}") for line in lines[:-1])


def _split(text: bytes) -> list[bytes]:
    lines = text.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines


def intact(name: str, lines: Sequence[bytes], offset: int, reader: Reader, account: ReadStatistics) -> list[bytes]:
    """Return the bytes of every event in these lines, one by one; the rest is noted."""
    result: list[bytes] = []
    for line in lines:
        bare = line.rstrip(b"\r")
        try:
            reader.one(bare)
        except ValueError:
            for each in recover(line, offset, reader):
                if isinstance(each, RecoveredEvent):
                    result.append(each.raw)
                else:
                    account.note(name, each)
        else:
            result.append(bare)
        offset += len(line) + 1
    return result


def _noted(piece: LogSegment, account: ReadStatistics) -> Iterator[tuple[bytes, int]]:
    with closing(opened(piece)) as file:
        try:
            for each in texts(file, piece.start, piece.end):
                if isinstance(each, Damage):
                    account.note(piece.name, each)
                else:
                    yield each
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            account.note(piece.name, Damage(f"compressed file cut short or damaged ({type(error).__name__})", 0, 0))
