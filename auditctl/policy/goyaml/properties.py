"""Anchors, aliases, tags and directives (`scannerc.go`): from a cursor to their parts."""

from __future__ import annotations

from auditctl.patterns import lazily
from auditctl.policy.goyaml.cursor import BLANKS, BLANKS_BREAKS_AND_END, Cursor
from auditctl.policy.goyaml.scalars import skip_to_line_end
from auditctl.policy.goyaml.tokens import Token, TokenKind

_WORD = lazily("[0-9A-Za-z_-]*")
_URI_RUN = lazily(r"[0-9A-Za-z_\-;/?:@&=+$,.!~*'()\[\]]+")
_OCTET = lazily("%([0-9A-Fa-f]{2})")
_BEHIND_ANCHOR = BLANKS_BREAKS_AND_END | set("?:,]}%@`")
_MAX_VERSION_DIGITS = 2


def anchor(cursor: Cursor) -> str:
    """Return the name behind ``&`` or ``*``."""
    cursor.position += 1
    cursor.need(1)
    name = _word(cursor)
    if not name or cursor.text[cursor.position] not in _BEHIND_ANCHOR:
        cursor.fail("did not find expected alphabetic or numeric character")
    return name


def tag(cursor: Cursor) -> tuple[str, str]:
    """Return handle and suffix of a tag; ``!<uri>`` and the lone ``!`` have no handle."""
    cursor.need(2)
    if cursor.text[cursor.position + 1] == "<":
        cursor.position += 2
        handle, suffix = "", _uri(cursor, "")
        if cursor.text[cursor.position] != ">":
            cursor.fail("did not find the expected '>'")
        cursor.position += 1
    else:
        handle, suffix = _tag_with_handle(cursor)
    cursor.need(1)
    if cursor.text[cursor.position] not in BLANKS_BREAKS_AND_END:
        cursor.fail("did not find expected whitespace or line break")
    return handle, suffix


def _tag_with_handle(cursor: Cursor) -> tuple[str, str]:
    handle = _handle(cursor, directive=False)
    if len(handle) > 1 and handle.endswith("!"):
        return handle, _uri(cursor, "")
    suffix = _uri(cursor, handle)
    return ("!", suffix) if suffix else ("", "!")


def _handle(cursor: Cursor, *, directive: bool) -> str:
    start = cursor.position
    cursor.need(1)
    if cursor.text[start] != "!":
        cursor.fail("did not find expected '!'")
    cursor.position += 1
    cursor.need(1)
    _word(cursor)
    if cursor.text[cursor.position] == "!":
        cursor.position += 1
    elif directive and cursor.position != start + 1:
        cursor.fail("did not find expected '!'")
    return cursor.text[start : cursor.position]


def _uri(cursor: Cursor, head: str) -> str:
    """Return the rest of a tag. ``head`` was taken for a handle and is not one: it belongs here, without its ``!``."""
    parts = [head[1:]]
    is_present = bool(head)
    cursor.need(1)
    while True:
        run = _URI_RUN.match(cursor.text, cursor.position)
        if run:
            parts.append(run.group())
            cursor.position = run.end()
            cursor.need(1)
        elif cursor.text[cursor.position] == "%":
            parts.append(_escaped_character(cursor))
            cursor.need(1)
        else:
            break
        is_present = True
    if not is_present:
        cursor.fail("did not find expected tag URI")
    return "".join(parts)


def _escaped_character(cursor: Cursor) -> str:
    lead = _octet(cursor)
    width = 1 if lead < 0x80 else 2 if lead & 0xE0 == 0xC0 else 3 if lead & 0xF0 == 0xE0 else 4
    if lead & 0xC0 == 0x80 or lead >= 0xF8:
        cursor.fail("found an incorrect leading UTF-8 octet")
    octets = [lead]
    cursor.position += 3
    while len(octets) < width:
        octet = _octet(cursor)
        if octet & 0xC0 != 0x80:
            cursor.fail("found an incorrect trailing UTF-8 octet")
        octets.append(octet)
        cursor.position += 3
    return bytes(octets).decode("utf-8", "replace")


def _octet(cursor: Cursor) -> int:
    cursor.need(3)
    match = _OCTET.match(cursor.text, cursor.position)
    if match is None:
        cursor.fail("did not find URI escaped octet")
    return int(match[1], 16)


def directive(cursor: Cursor) -> Token:
    """Return a ``%YAML`` or ``%TAG`` line, the line break included."""
    line, column = cursor.line, cursor.column
    cursor.position += 1
    cursor.need(1)
    name = _word(cursor)
    if not name:
        cursor.fail("could not find expected directive name")
    if cursor.text[cursor.position] not in BLANKS_BREAKS_AND_END:
        cursor.fail("found unexpected non-alphabetical character")
    if name == "YAML":
        token = Token(TokenKind.VERSION_DIRECTIVE, line, column, _version(cursor))
    elif name == "TAG":
        token = Token(TokenKind.TAG_DIRECTIVE, line, column, *_tag_directive(cursor))
    else:
        cursor.fail("found unknown directive name")
    skip_to_line_end(cursor)
    return token


def _version(cursor: Cursor) -> str:
    _skip_blanks(cursor)
    major = _version_number(cursor)
    if cursor.text[cursor.position] != ".":
        cursor.fail("did not find expected digit or '.' character")
    cursor.position += 1
    return f"{major}.{_version_number(cursor)}"


def _version_number(cursor: Cursor) -> int:
    cursor.need(1)
    start = cursor.position
    while cursor.text[cursor.position] in "0123456789":
        if cursor.position - start == _MAX_VERSION_DIGITS:
            cursor.fail("found extremely long version number")
        cursor.position += 1
        cursor.need(1)
    if cursor.position == start:
        cursor.fail("did not find expected version number")
    return int(cursor.text[start : cursor.position])


def _tag_directive(cursor: Cursor) -> tuple[str, str]:
    _skip_blanks(cursor)
    handle = _handle(cursor, directive=True)
    cursor.need(1)
    if cursor.text[cursor.position] not in BLANKS:
        cursor.fail("did not find expected whitespace")
    _skip_blanks(cursor)
    prefix = _uri(cursor, "")
    cursor.need(1)
    if cursor.text[cursor.position] not in BLANKS_BREAKS_AND_END:
        cursor.fail("did not find expected whitespace or line break")
    return handle, prefix


def _skip_blanks(cursor: Cursor) -> None:
    cursor.need(1)
    while cursor.text[cursor.position] in BLANKS:
        cursor.position += 1
        cursor.need(1)


def _word(cursor: Cursor) -> str:
    match = _WORD.match(cursor.text, cursor.position)
    word = match.group() if match else ""
    cursor.position += len(word)
    cursor.need(1)
    return word
