"""Make foreign text safe to print: file names, process arguments and log lines may hold terminal escapes."""

from __future__ import annotations

import re

from auditctl.patterns import lazily

# What a terminal obeys (C0, DEL, C1), what reverses the direction of writing (bidirectional controls: CVE-2021-42574),
# and halves of characters that no encoding can write. A tab is harmless.
_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSAFE = lazily(f"[\x00-\x08\x0a-\x1f\x7f-\x9f{_BIDI}\u2028\u2029\ud800-\udfff]")
_UNSAFE_IN_LINES = lazily(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}\ud800-\udfff]")
# The same in UTF-8, as far as JSON text may hold it raw: C1, the line separators, bidirectional controls.
_UNSAFE_JSON = lazily(
    b"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]",
)


def printable(text: str, *, keep_newlines: bool = False) -> str:
    r"""Return the text with each unsafe character as its escape: ``\x1b``, ``\u202e``.

    A line end is unsafe too, for it would let a name forge a line of ours; ``keep_newlines`` is for texts of many lines.
    """
    return (_UNSAFE_IN_LINES if keep_newlines else _UNSAFE).sub(_escaped, text)


def printable_json(raw: bytes) -> bytes:
    r"""Return lines of JSON with each unsafe character as ``\uXXXX``: the values that a program reads stay the same.

    Such a character can stand only inside a JSON string, where its escape is equal to it (RFC 8259, 7). A carriage return
    stands only between values: it becomes a space.
    """
    if raw.isascii() and b"\x7f" not in raw and b"\r" not in raw:
        return raw
    return _UNSAFE_JSON.sub(_json_escaped, raw.replace(b"\r", b" "))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    named = {0x0A: "\\n", 0x0D: "\\r"}.get(code)
    return named or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def _json_escaped(match: re.Match[bytes]) -> bytes:
    return f"\\u{ord(match[0].decode()):04x}".encode()
