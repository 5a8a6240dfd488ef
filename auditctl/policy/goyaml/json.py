"""JSON as Go's `encoding/json` scans it (`scanner.go`): strict, byte by byte in its complaints, duplicates kept."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NoReturn

from auditctl.patterns import lazily
from auditctl.policy.goyaml.faults import SyntaxFault
from auditctl.policy.goyaml.quoting import quote
from auditctl.policy.goyaml.values import MAX_DEPTH, JsonKind, MappingEntry, Value

_BLANKS = lazily(rb"[ \t\r\n]*")
_STRING_RUN = lazily(rb'[^"\\\x00-\x1f]*')
_NUMBER_PARTS = (
    (lazily(rb"-?"), "in numeric literal"),
    (lazily(rb"0|[1-9][0-9]*"), "in numeric literal"),
)
_FRACTION = lazily(rb"[0-9]+")
_HEXADECIMAL = frozenset(b"0123456789abcdefABCDEF")
_ESCAPES = {ord(key): value for key, value in zip('"\\/bfnrt', '"\\/\b\f\n\r\t', strict=True)}
_LITERALS = {
    ord("t"): (b"true", JsonKind.BOOL),
    ord("f"): (b"false", JsonKind.BOOL),
    ord("n"): (b"null", JsonKind.NULL),
}
_SURROGATES = dict.fromkeys(range(0xDC80, 0xDD00), "\ufffd")
_HALVES = lazily("[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]")


class _Open:
    """An array or object that is not closed yet."""

    __slots__ = ("is_object", "items", "key", "key_offset", "offset", "pairs")

    def __init__(self, offset: int, is_object: bool, key: str = "", key_offset: int = 0) -> None:
        self.offset = offset
        self.is_object = is_object
        self.items: list[Value] = []
        self.pairs: list[MappingEntry] = []
        self.key = key
        self.key_offset = key_offset


def read_json(raw: bytes) -> Value:
    """Return the value of a JSON text. Raises SyntaxFault with Go's message."""
    return _Reader(raw).read()


class _Reader:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._offset = 0
        self._line_starts = [0, *(match.end() for match in re.finditer(rb"\n", raw))]

    def _place(self, offset: int) -> tuple[int, int]:
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def _fail(self, context: str) -> NoReturn:
        """Raise the complaint about the byte at this place."""
        if self._offset >= len(self._raw):
            raise SyntaxFault("unexpected end of JSON input", *self._place(self._offset))
        character = chr(self._raw[self._offset])
        shown = {"'": "'\\''", '"': "'\"'"}.get(character) or f"'{quote(character)[1:-1]}'"
        raise SyntaxFault(f"invalid character {shown} {context}", *self._place(self._offset))

    def _peek(self) -> int:
        """Return the next byte that is not blank; -1 at the end."""
        match = _BLANKS.match(self._raw, self._offset)
        self._offset = match.end() if match else self._offset
        return self._raw[self._offset] if self._offset < len(self._raw) else -1

    def read(self) -> Value:
        stack: list[_Open] = []
        while True:
            value = self._begin_value(stack)
            while value is not None:
                if not stack:
                    if self._peek() != -1:
                        self._fail("after top-level value")
                    return value
                value = self._continue(stack, value)

    def _begin_value(self, stack: list[_Open]) -> Value | None:
        """Return a literal or an empty collection; None where a collection has been opened."""
        byte = self._peek()
        start = self._offset
        place = self._place(start)
        if byte in {ord("["), ord("{")}:
            return self._open(stack, is_object=byte == ord("{"))
        if byte == ord('"'):
            return Value(JsonKind.STRING, *place, self._string())
        if byte in _LITERALS:
            literal, kind = _LITERALS[byte]
            self._literal(literal)
            return Value(kind, *place, literal.decode())
        if byte != ord("-") and not ord("0") <= byte <= ord("9"):
            self._fail("looking for beginning of value")
        self._number()
        return Value(JsonKind.NUMBER, *place, self._raw[start : self._offset].decode())

    def _open(self, stack: list[_Open], *, is_object: bool) -> Value | None:
        if len(stack) >= MAX_DEPTH:
            self._fail("exceeded max depth")
        opened = _Open(self._offset, is_object)
        self._offset += 1
        byte = self._peek()
        if byte == ord("}" if is_object else "]"):
            self._offset += 1
            return Value(JsonKind.OBJECT if is_object else JsonKind.ARRAY, *self._place(opened.offset))
        stack.append(opened)
        if is_object:
            self._key(opened)
        return None

    def _key(self, opened: _Open) -> None:
        if self._peek() != ord('"'):
            self._fail("looking for beginning of object key string")
        opened.key_offset = self._offset
        opened.key = self._string()
        if self._peek() != ord(":"):
            self._fail("after object key")
        self._offset += 1

    def _continue(self, stack: list[_Open], value: Value) -> Value | None:
        """Put a finished value into the open collection; the collection itself if it ends behind it."""
        opened = stack[-1]
        byte = self._peek()
        if opened.is_object:
            opened.pairs.append(MappingEntry(opened.key, *self._place(opened.key_offset), value))
        else:
            opened.items.append(value)
        if byte == ord("}" if opened.is_object else "]"):
            self._offset += 1
            stack.pop()
            kind = JsonKind.OBJECT if opened.is_object else JsonKind.ARRAY
            place = self._place(opened.offset)
            return Value(kind, *place, items=tuple(opened.items), pairs=tuple(opened.pairs))
        if byte != ord(","):
            self._fail("after object key:value pair" if opened.is_object else "after array element")
        self._offset += 1
        if opened.is_object:
            self._key(opened)
        return None

    def _literal(self, literal: bytes) -> None:
        for byte in literal:
            if self._offset >= len(self._raw) or self._raw[self._offset] != byte:
                self._fail(f"in literal {literal.decode()} (expecting '{chr(byte)}')")
            self._offset += 1

    def _number(self) -> None:
        for pattern, context in _NUMBER_PARTS:
            self._digits(pattern, context)
        if self._raw[self._offset : self._offset + 1] == b".":
            self._offset += 1
            self._digits(_FRACTION, "after decimal point in numeric literal")
        if self._raw[self._offset : self._offset + 1] in {b"e", b"E"}:
            self._offset += 1
            if self._raw[self._offset : self._offset + 1] in {b"+", b"-"}:
                self._offset += 1
            self._digits(_FRACTION, "in exponent of numeric literal")

    def _digits(self, pattern: re.Pattern[bytes], context: str) -> None:
        match = pattern.match(self._raw, self._offset)
        if match is None:
            self._fail(context)
        self._offset = match.end()

    def _string(self) -> str:
        self._offset += 1
        parts: list[str] = []
        while True:
            match = _STRING_RUN.match(self._raw, self._offset)
            run = match.group() if match else b""
            parts.append(run.decode("utf-8", "surrogateescape").translate(_SURROGATES))
            self._offset += len(run)
            byte = self._raw[self._offset] if self._offset < len(self._raw) else -1
            if byte == ord('"'):
                self._offset += 1
                return _HALVES.sub(_paired, "".join(parts))
            if byte != ord("\\"):
                self._fail("in string literal")
            self._offset += 1
            parts.append(self._escape())

    def _escape(self) -> str:
        byte = self._raw[self._offset] if self._offset < len(self._raw) else -1
        if byte in _ESCAPES:
            self._offset += 1
            return _ESCAPES[byte]
        if byte != ord("u"):
            self._fail("in string escape code")
        self._offset += 1
        start = self._offset
        for _ in range(4):
            if self._offset >= len(self._raw) or self._raw[self._offset] not in _HEXADECIMAL:
                self._fail("in \\u hexadecimal character escape")
            self._offset += 1
        return chr(int(self._raw[start : self._offset], 16))


def _paired(match: re.Match[str]) -> str:
    """Return text in which two halves of a surrogate pair are one character; a half alone is U+FFFD."""
    halves = match.group()
    return halves.encode("utf-16", "surrogatepass").decode("utf-16") if len(halves) == 2 else "\ufffd"
