"""Plain, quoted and block scalars (`scannerc.go`): from a cursor to their text. Line folding is done here."""

from __future__ import annotations

import re

from auditctl.patterns import lazily
from auditctl.policy.goyaml.cursor import (
    BLANKS,
    BLANKS_AND_BREAKS,
    BLANKS_BREAKS_AND_END,
    BREAKS,
    BREAKS_AND_END,
    Cursor,
)
from auditctl.policy.goyaml.source import END

_STOP = " \\t\\r\\n\\x85\u2028\u2029\\0"
_BLOCK_RUN = lazily(f"(?:[^:{_STOP}]+|:(?![{_STOP}]))+")
_FLOW_RUN = lazily(f"(?:[^:,?\\[\\]{{}}{_STOP}]+|:(?![{_STOP}]))+")
_SINGLE_RUN = lazily(f"[^'{_STOP}]+")
_DOUBLE_RUN = lazily(f'[^"\\\\{_STOP}]+')
_BLANK_RUN = lazily("[ \\t]*")
_SPACE_RUN = lazily(" *")
_LINE = lazily("[^\\r\\n\\x85\u2028\u2029\\0]*")
_HEXADECIMAL = lazily("[0-9A-Fa-f]+")

_ESCAPES = {
    "0": "\0",
    "a": "\a",
    "b": "\b",
    "t": "\t",
    "\t": "\t",
    "n": "\n",
    "v": "\v",
    "f": "\f",
    "r": "\r",
    "e": "\x1b",
    " ": " ",
    '"': '"',
    "'": "'",
    "\\": "\\",
    "N": "\x85",
    "_": "\xa0",
    "L": "\u2028",
    "P": "\u2029",
}
_CODE_LENGTHS = {"x": 2, "u": 4, "U": 8}


class _Gap:
    """Blanks and line breaks between two runs: several lines fold into one space, or into their empty lines."""

    __slots__ = ("blanks", "broken", "first_break", "more_breaks")

    def __init__(self, blanks: str = "", first_break: str = "", broken: bool = False) -> None:
        self.blanks = blanks
        self.first_break = first_break
        self.more_breaks: list[str] = []
        self.broken = broken

    def folded(self) -> str:
        if not self.broken:
            return self.blanks
        if self.first_break == "\n":
            return "".join(self.more_breaks) or " "
        return self.first_break + "".join(self.more_breaks)

    def read(self, cursor: Cursor, *, tab_limit: int = 0) -> None:
        """Step over blanks and breaks. A tab left of column ``tab_limit`` on a continuation line is a fault."""
        text = cursor.text
        while text[cursor.position] in BLANKS_AND_BREAKS:
            if text[cursor.position] in BLANKS:
                self._read_blanks(cursor, tab_limit)
            else:
                cursor.need(2)
                self._read_break(cursor)
            cursor.need(1)

    def _read_blanks(self, cursor: Cursor, tab_limit: int) -> None:
        start = cursor.position
        if not self.broken:
            cursor.position = _end(_BLANK_RUN, cursor)
            self.blanks += cursor.text[start : cursor.position]
            return
        cursor.position = _end(_SPACE_RUN, cursor)
        if cursor.column < tab_limit and cursor.text[cursor.position] == "\t":
            cursor.need(1)
            cursor.fail("found a tab character that violates indentation")
        cursor.position = _end(_BLANK_RUN, cursor)

    def _read_break(self, cursor: Cursor) -> None:
        if self.broken:
            self.more_breaks.append(cursor.read_break())
        else:
            self.blanks, self.broken = "", True
            self.first_break = cursor.read_break()


def _end(pattern: re.Pattern[str], cursor: Cursor) -> int:
    match = pattern.match(cursor.text, cursor.position)
    return match.end() if match else cursor.position


def plain(cursor: Cursor, indent: int, *, flow: bool) -> tuple[str, bool]:
    """The text of a plain scalar, and whether it ended at the start of a line. ``indent`` is the least column."""
    run = _FLOW_RUN if flow else _BLOCK_RUN
    whole = _single_run(cursor, run)
    if whole is not None:
        return whole, False
    parts: list[str] = []
    gap = _Gap()
    while True:
        cursor.need(4)
        if cursor.at_document_indicator() or cursor.text[cursor.position] == "#":
            break
        end = _end(run, cursor)
        if end > cursor.position:
            parts += (gap.folded(), cursor.text[cursor.position : end])
            gap = _Gap()
            cursor.position = end
            cursor.need(2)
        if cursor.text[cursor.position] not in BLANKS_AND_BREAKS:
            break
        gap.read(cursor, tab_limit=indent)
        if not flow and cursor.column < indent:
            break
    return "".join(parts), gap.broken


def _single_run(cursor: Cursor, run: re.Pattern[str]) -> str | None:
    """Step over a scalar of one run, the usual one, and return its text; None where more has to be looked at."""
    start = cursor.position
    cursor.need(4)
    if start == cursor.line_start or cursor.text[start] == "#":
        return None
    end = _end(run, cursor)
    if end == start or cursor.text[end] in BLANKS_AND_BREAKS:
        return None
    cursor.position = end
    cursor.need(2)
    return cursor.text[start:end]


def quoted(cursor: Cursor) -> str:
    """The text of a single- or double-quoted scalar; the cursor stands on the opening quote, and ends behind the last."""
    quote = cursor.text[cursor.position]
    cursor.position += 1
    parts: list[str] = []
    while True:
        cursor.need(4)
        if cursor.at_document_indicator():
            cursor.fail("found unexpected document indicator")
        if cursor.text[cursor.position] == END:
            cursor.fail("found unexpected end of stream")
        gap = _Gap(broken=_quoted_run(cursor, quote, parts))
        cursor.need(1)
        if cursor.text[cursor.position] == quote:
            cursor.position += 1
            return "".join(parts)
        gap.read(cursor)
        parts.append(gap.folded())


def _quoted_run(cursor: Cursor, quote: str, parts: list[str]) -> bool:
    """Everything up to a blank, a break or the closing quote. True if it ended in an escaped line break."""
    text = cursor.text
    run = _SINGLE_RUN if quote == "'" else _DOUBLE_RUN
    while (character := text[cursor.position]) not in BLANKS_BREAKS_AND_END:
        if character == quote:
            if quote == '"' or text[cursor.position + 1] != quote:
                break
            parts.append(quote)
            cursor.position += 2
        elif character == "\\" and quote == '"':
            if text[cursor.position + 1] in BREAKS:
                cursor.need(3)
                cursor.position += 1
                cursor.read_break()
                return True
            parts.append(_escape(cursor))
        else:
            end = _end(run, cursor)
            parts.append(text[cursor.position : end])
            cursor.position = end
        cursor.need(2)
    return False


def _escape(cursor: Cursor) -> str:
    code = cursor.text[cursor.position + 1]
    length = _CODE_LENGTHS.get(code)
    if length is None:
        if code not in _ESCAPES:
            cursor.fail("found unknown escape character")
        cursor.position += 2
        return _ESCAPES[code]
    cursor.position += 2
    cursor.need(length)
    digits = cursor.text[cursor.position : cursor.position + length]
    if not _HEXADECIMAL.fullmatch(digits):
        cursor.fail("did not find expected hexdecimal number")
    value = int(digits, 16)
    if 0xD800 <= value <= 0xDFFF or value > 0x10FFFF:
        cursor.fail("found invalid Unicode character escape code")
    cursor.position += length
    return chr(value)


def block(cursor: Cursor, parent_indent: int) -> str:
    """Return the text of a ``|`` or ``>`` scalar; the cursor stands on the indicator, and ends behind the last line."""
    literal = cursor.text[cursor.position] == "|"
    cursor.position += 1
    cursor.need(1)
    chomping, increment = _block_header(cursor)
    indent = max(parent_indent, 0) + increment if increment else 0
    indent, breaks = _block_breaks(cursor, indent, parent_indent)
    cursor.need(1)
    parts: list[str] = []
    line_break = ""
    led_by_blank = False
    while cursor.column == indent and cursor.text[cursor.position] != END:
        blank = cursor.text[cursor.position] in BLANKS
        if not literal and line_break == "\n" and not led_by_blank and not blank:
            parts.append("" if breaks else " ")
        else:
            parts.append(line_break)
        led_by_blank = blank
        end = _end(_LINE, cursor)
        parts += (breaks, cursor.text[cursor.position : end])
        cursor.position = end
        cursor.need(2)
        line_break = cursor.read_break()
        indent, breaks = _block_breaks(cursor, indent, parent_indent)
    tail = {"-": "", "": line_break, "+": line_break + breaks}[chomping]
    return "".join(parts) + tail


def _block_header(cursor: Cursor) -> tuple[str, int]:
    """Chomping sign and indentation digit in either order, then blanks and a comment up to the line's end."""
    chomping, increment = "", 0
    for _ in range(2):
        character = cursor.text[cursor.position]
        if character in "+-" and not chomping:
            chomping = character
        elif character in "0123456789" and not increment:
            if character == "0":
                cursor.fail("found an indentation indicator equal to 0")
            increment = int(character)
        else:
            break
        cursor.position += 1
        cursor.need(1)
    skip_to_line_end(cursor)
    return chomping, increment


def skip_to_line_end(cursor: Cursor) -> None:
    """Step over blanks, a comment and the line break; anything else is a fault."""
    cursor.need(1)
    cursor.position = _end(_BLANK_RUN, cursor)
    cursor.need(1)
    if cursor.text[cursor.position] == "#":
        cursor.position = _end(_LINE, cursor)
        cursor.need(1)
    if cursor.text[cursor.position] not in BREAKS_AND_END:
        cursor.fail("did not find expected comment or line break")
    cursor.need(2)
    cursor.read_break()


def _block_breaks(cursor: Cursor, indent: int, parent_indent: int) -> tuple[int, str]:
    """Step over indentation and empty lines. Returns the indentation, found here if it was 0, and the line breaks."""
    widest = 0
    breaks: list[str] = []
    while True:
        cursor.need(1)
        end = _end(_SPACE_RUN, cursor)
        cursor.position = min(end, max(cursor.position, cursor.line_start + indent)) if indent else end
        cursor.need(1)
        widest = max(widest, cursor.column)
        if (not indent or cursor.column < indent) and cursor.text[cursor.position] == "\t":
            cursor.fail("found a tab character where an indentation space is expected")
        if cursor.text[cursor.position] not in BREAKS:
            break
        cursor.need(2)
        breaks.append(cursor.read_break())
    return indent or max(widest, parent_indent + 1, 1), "".join(breaks)
