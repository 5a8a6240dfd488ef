"""A log to blocks of events, in the order of the file; memory does not grow with its size."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from typing import IO, NamedTuple

from auditctl.log.damage import Damage, ReadStatistics, RecoveredEvent, recover
from auditctl.log.events import CompactEvent, FullEvent, Reader
from auditctl.log.segments import LogSegment, opened

CHUNK_BYTES = 1 << 17
"""What fits a core's cache, and what malloc does not map anew each time."""
_MOST_LINE_BYTES = 100 << 20
"""The server refuses to write a longer event: its own default size of a file (lumberjack v2.2.1, Write)."""
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
    if not _is_clean(text, len(events), len(lines)):
        lines = intact(name, lines, offset, reader, account)
        events = [reader.one(line) for line in lines]
    account.events += len(events)
    account.bytes += len(text)
    return EventBlock(events, lines)


def selected_blocks(
    piece: LogSegment, reader: Reader, account: ReadStatistics, test: Callable[[FullEvent], bool] | None, needle: bytes
) -> Iterator[EventBlock]:
    """Yield the events of a piece that pass ``test``, all of them without one; a test needs the whole events."""
    if test is None:
        yield from blocks(piece, reader, account)
        return
    for block in whole_blocks(piece, reader, account, needle):
        lines = [line for event, line in zip(block.events, block.lines, strict=True) if test(event)]
        if lines:
            yield EventBlock([reader.one(line) for line in lines], lines)


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
    if not _is_clean(text, len(events), len(lines)):
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
    found: list[bytes] = []
    end = 0
    while (at := text.find(needle, end)) >= 0:
        begin, end = text.rfind(b"\n", end - 1 if end else 0, at) + 1, text.index(b"\n", at)
        found.append(text[begin:end])
    return found


def _wholes(lines: list[bytes], reader: Reader) -> tuple[list[FullEvent], list[bytes]]:
    events, kept = [], []
    for line in lines:
        try:
            events.append(reader.whole(line))
        except ValueError:  # has what counting needs, and something odd beside it
            continue
        kept.append(line)
    return events, kept


def _is_clean(text: bytes, events: int, lines: int) -> bool:
    """Return whether every line is one event; only then the n-th line is the n-th event."""
    return events == lines and text.count(b"}\n{") == lines - 1


def _split(text: bytes) -> list[bytes]:
    lines = text.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines


def intact(name: str, lines: Sequence[bytes], offset: int, reader: Reader, account: ReadStatistics) -> list[bytes]:
    """Return the bytes of every event in these lines, one by one; the rest is noted."""
    found: list[bytes] = []
    for line in lines:
        bare = line.rstrip(b"\r")
        try:
            reader.one(bare)
        except ValueError:
            for each in recover(line, offset, reader):
                if isinstance(each, RecoveredEvent):
                    found.append(each.raw)
                else:
                    account.note(name, each)
        else:
            found.append(bare)
        offset += len(line) + 1
    return found


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


def texts(file: IO[bytes], start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int] | Damage]:
    """Texts of whole lines with their offsets: those that begin from ``start`` on and before ``end``."""
    gatherer = LineAssembler(start)
    if start:
        file.seek(start - 1)
        gatherer.skip_to_line(start - 1)
    while chunk := file.read(CHUNK_BYTES):
        for each in gatherer.take(chunk):
            if isinstance(each, Damage) or end is None or each[1] + len(each[0]) < end:
                yield each
                continue
            text, offset = each
            if gatherer.text_begins < end:
                yield text[: text.index(b"\n", max(end - 1 - offset, 0)) + 1], offset
            return
        if end is not None and gatherer.begins >= end:
            return
    yield from gatherer.rest()


class LineAssembler:
    """Puts lines together that chunks have cut.

    ``begins``: where the line that is gathered begins, with the NUL bytes that may stand before it; ``text_begins`` is the
    same of the text that was handed out last.
    """

    def __init__(self, offset: int) -> None:
        self.begins = self.text_begins = self._offset = offset
        self._parts: list[bytes] = []
        self._length = 0
        self._skipping = ""

    def skip_to_line(self, offset: int) -> None:
        """Skip what comes up to the next line end: it belongs to another reader."""
        self._offset, self._skipping = offset, "another's"

    def take(self, chunk: bytes) -> Iterator[tuple[bytes, int] | Damage]:
        """Yield the whole lines that this chunk completes."""
        if self._skipping:
            at = chunk.find(b"\n") + 1
            skipped = at or len(chunk)
            self._length += skipped
            if not at:
                return
            yield from self._skipped()
            chunk = chunk[at:]
        if not self._parts and chunk[:1] == b"\0":
            bare = chunk.lstrip(b"\0")
            yield Damage("run of NUL bytes", self._offset, len(chunk) - len(bare))
            self._offset += len(chunk) - len(bare)
            chunk = bare
        last = chunk.rfind(b"\n") + 1
        if last:
            text = b"".join((*self._parts, chunk[:last]))
            self.text_begins = self.begins
            yield text, self._offset
            self._offset += len(text)
            self.begins = self._offset
            chunk, self._parts, self._length = chunk[last:], [], 0
        if chunk:
            self._parts.append(chunk)
            self._length += len(chunk)
        if self._length > _MOST_LINE_BYTES:
            self._parts, self._skipping = [], "line of more than 100 MiB"

    def _skipped(self) -> Iterator[Damage]:
        if self._skipping != "another's":
            yield Damage(self._skipping, self._offset, self._length)
        self._offset += self._length
        self.begins, self._length, self._skipping = self._offset, 0, ""

    def rest(self) -> Iterator[tuple[bytes, int] | Damage]:
        """Yield what stands behind the last line end; nobody will end it any more."""
        if self._skipping:
            yield from self._skipped()
        elif self._parts:
            yield b"".join(self._parts), self._offset
            self._parts, self._length = [], 0
