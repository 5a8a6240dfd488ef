"""Chunks of a file to texts of whole lines with their offsets; what lies between is damage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from auditctl.log.damage import Damage

CHUNK_BYTES = 1 << 17
"""What fits a core's cache, and what malloc does not map anew each time."""
_MOST_LINE_BYTES = 100 << 20
"""The server refuses to write a longer event: its own default size of a file (lumberjack v2.2.1, Write)."""


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
