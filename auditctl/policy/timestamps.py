"""RFC 3339 as Go's ``time.Parse`` reads it: lenient with hours of one digit, strict with the rest."""

from __future__ import annotations

import re

from auditctl.patterns import lazily

_LAYOUT = "2006-01-02T15:04:05Z07:00"
_TWO = lazily("[0-9]{2}")
# what the layout asks for, in order: its own words for the part, the pattern, the name and range of the number
_PARTS: tuple[tuple[str, re.Pattern[str], str, int, int], ...] = (
    ("2006", lazily("[0-9]{4}"), "", 0, 9999),
    ("-", lazily("-"), "", 0, 0),
    ("01", _TWO, "month", 1, 12),
    ("-", lazily("-"), "", 0, 0),
    ("02", _TWO, "day", 0, 99),
    ("T", lazily("T"), "", 0, 0),
    ("15", lazily("[0-9]{1,2}"), "hour", 0, 23),
    (":", lazily(":"), "", 0, 0),
    ("04", _TWO, "minute", 0, 59),
    (":", lazily(":"), "", 0, 0),
    ("05", lazily("([0-9]{2})(?:[.,][0-9]+)?"), "second", 0, 59),
    ("Z07:00", lazily("Z|[+-][0-9]{2}:[0-9]{2}"), "", 0, 0),
)


def timestamp_fault(text: str) -> str:
    """Return Go's complaint about a timestamp, "" if it has none."""
    rest = text
    numbers: dict[str, int] = {}
    for words, pattern, name, least, most in _PARTS:
        match = pattern.match(rest)
        if match is None:
            return f"parsing time {_quote(text)} as {_quote(_LAYOUT)}: cannot parse {_quote(rest)} as {_quote(words)}"
        digits = match[0][:2] if name else match[0]
        if words == "2006" or name:
            numbers[name or "year"] = int(digits)
        if name and not least <= int(digits) <= most:
            return f"parsing time {_quote(text)}: {name} out of range"
        rest = rest[match.end() :]
        if words == "Z07:00" and (fault := _zone_fault(match[0])):
            return f"parsing time {_quote(text)}: {fault} out of range"
    if rest:
        return f"parsing time {_quote(text)}: extra text: {_quote(rest)}"
    from calendar import monthrange  # it brings locale with it, and hardly a policy holds a time

    # year 0 is a leap year to Go; 4 stands for it
    if not 1 <= numbers["day"] <= monthrange(numbers["year"] or 4, numbers["month"])[1]:
        return f"parsing time {_quote(text)}: day out of range"
    return ""


def _zone_fault(zone: str) -> str:
    if zone == "Z":
        return ""
    if int(zone[1:3]) > 24:
        return "time zone offset hour"
    return "time zone offset minute" if int(zone[4:6]) > 60 else ""


def _quote(text: str) -> str:
    """Return a quoted text as Go's time package quotes: bytes outside ASCII one by one, and DEL as it is."""
    parts = []
    for octet in text.encode("utf-8", "surrogatepass"):
        if octet >= 0x80 or octet < 0x20:
            parts.append(f"\\x{octet:02x}")
        else:
            parts.append("\\" * (octet in b'"\\') + chr(octet))
    return f'"{"".join(parts)}"'
