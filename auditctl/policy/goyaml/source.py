"""Bytes to characters, as go-yaml's reader does (`readerc.go`).

It decodes in pieces of 512 bytes and complains of a bad byte when it comes to decode that piece, not before: garbage
far behind the first document is never seen. ``limit`` says how many characters may be looked at before that happens.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from auditctl.patterns import lazily

_PIECE = 512
_UNLIMITED = sys.maxsize
# what the scanner may peek at past the end: an eight-digit escape and the character behind it
END = "\0"
_TAIL = END * 16

_FORBIDDEN_ASCII = lazily("[^\\t\\n\\r -~]")
_FORBIDDEN = lazily("[^\\t\\n\\r -~\\x85\\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROL_FAULT = "control characters are not allowed"


class CharacterSource(NamedTuple):
    """The characters, closed by NULs. Looking at ``limit`` or beyond is the reader's ``fault``."""

    text: str
    limit: int
    fault: str
    doubled_mark: int
    """Characters in the first piece if the text still begins with a byte order mark, else 0 (see Scanner)."""


def read(raw: bytes) -> CharacterSource:
    """Return the characters of ``raw``: UTF-8, or UTF-16 by its byte order mark."""
    encoding, mark = _encoding(raw)
    text, bad_byte, fault = _decode(raw, encoding, mark)
    # the whole class takes milliseconds to compile; a text of ASCII needs the small one
    forbidden = (_FORBIDDEN_ASCII if text.isascii() else _FORBIDDEN).search(text)
    if forbidden:
        bad_byte = mark + len(text[: forbidden.start()].encode(encoding, "surrogatepass"))
        text, fault = text[: forbidden.start()], _CONTROL_FAULT
    first_piece = _first_piece(raw, encoding, mark) if text[:1] == "\ufeff" else 0
    if not fault:
        return CharacterSource(text + _TAIL, _UNLIMITED, "", first_piece)
    incomplete = fault.startswith("incomplete")
    limit = len(text) if incomplete else _characters_before(raw, encoding, mark, bad_byte)
    return CharacterSource(text[:limit] + _TAIL, limit, fault, first_piece)


def _encoding(raw: bytes) -> tuple[str, int]:
    """Return the codec and the number of bytes that its mark takes."""
    if raw[:2] == b"\xff\xfe":
        return "utf-16-le", 2
    if raw[:2] == b"\xfe\xff":
        return "utf-16-be", 2
    return "utf-8", 3 if raw[:3] == b"\xef\xbb\xbf" else 0


def _decode(raw: bytes, encoding: str, mark: int) -> tuple[str, int, str]:
    try:
        return raw[mark:].decode(encoding), 0, ""
    except UnicodeDecodeError as error:
        start = mark + error.start
        text = raw[mark:start].decode(encoding)
        fault = _utf8_fault(raw, start) if encoding == "utf-8" else _utf16_fault(raw, start, encoding)
        return text, start, fault


def _utf8_fault(raw: bytes, start: int) -> str:
    lead = raw[start]
    width = 2 if lead & 0xE0 == 0xC0 else 3 if lead & 0xF0 == 0xE0 else 4 if lead & 0xF8 == 0xF0 else 0
    if not width:
        return "invalid leading UTF-8 octet"
    octets = raw[start : start + width]
    if len(octets) < width:
        return "incomplete UTF-8 octet sequence"
    if any(octet & 0xC0 != 0x80 for octet in octets[1:]):
        return "invalid trailing UTF-8 octet"
    value = lead & (0x7F >> width)
    for octet in octets[1:]:
        value = (value << 6) + (octet & 0x3F)
    if value < (0, 0, 0x80, 0x800, 0x10000)[width]:
        return "invalid length of a UTF-8 sequence"
    return "invalid Unicode character"


def _utf16_fault(raw: bytes, start: int, encoding: str) -> str:
    rest = raw[start : start + 4]
    if len(rest) < 2:
        return "incomplete UTF-16 character"
    unit = int.from_bytes(rest[:2], "little" if encoding.endswith("le") else "big")
    if unit & 0xFC00 == 0xDC00:
        return "unexpected low surrogate area"
    return "expected low surrogate area" if len(rest) == 4 else "incomplete UTF-16 surrogate pair"


def _piece_ends(raw: bytes, encoding: str) -> list[int]:
    """Return where each decoded piece ends: a character cut by a piece's end is left for the next one."""
    ends = []
    start = 0
    while start < len(raw):
        end = _whole_characters(raw, start, min(start + _PIECE, len(raw)), encoding)
        ends.append(end)
        start = max(end, start + 1)
    return ends


def _whole_characters(raw: bytes, start: int, end: int, encoding: str) -> int:
    if encoding != "utf-8":
        end -= (end - start) % 2
        unit = int.from_bytes(raw[end - 2 : end], "little" if encoding.endswith("le") else "big")
        return end - 2 if unit & 0xFC00 == 0xD800 else end
    lead = end - 1
    while lead > max(start, end - 4) and raw[lead] & 0xC0 == 0x80:
        lead -= 1
    octet = raw[lead]
    width = 1 + (octet >= 0xC0) + (octet >= 0xE0) + (octet >= 0xF0)
    return lead if lead + width > end else end


def _characters_before(raw: bytes, encoding: str, mark: int, bad_byte: int) -> int:
    """Return how many characters the pieces before the one with the bad byte hold."""
    end = mark
    for piece_end in _piece_ends(raw, encoding):
        if piece_end > bad_byte:
            break
        end = piece_end
    return len(raw[mark : max(end, mark)].decode(encoding))


def _first_piece(raw: bytes, encoding: str, mark: int) -> int:
    return len(raw[mark : _piece_ends(raw, encoding)[0]].decode(encoding, "replace"))
