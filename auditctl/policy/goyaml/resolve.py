"""Which scalars are numbers, booleans and null (`resolve.go`): YAML 1.1 without base 60, dates as strings."""

from __future__ import annotations

import base64
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from auditctl.patterns import lazily
from auditctl.policy.goyaml.faults import SyntaxFault
from auditctl.policy.goyaml.numbers import float_literal
from auditctl.policy.goyaml.values import JsonKind

_PREFIX = "tag:yaml.org,2002:"
_STR, _BOOL, _INT, _FLOAT, _NULL = (_PREFIX + name for name in ("str", "bool", "int", "float", "null"))
_TIMESTAMP = _PREFIX + "timestamp"
_BINARY = _PREFIX + "binary"
_RESOLVABLE = frozenset({"", _STR, _BOOL, _INT, _FLOAT, _NULL, _TIMESTAMP})

_WORDS = {
    **dict.fromkeys(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"], (_BOOL, "true")),
    **dict.fromkeys(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"], (_BOOL, "false")),
    **dict.fromkeys(["", "~", "null", "Null", "NULL"], (_NULL, "")),
    **dict.fromkeys([".nan", ".NaN", ".NAN"], (_FLOAT, "NaN")),
    **dict.fromkeys([".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"], (_FLOAT, "+Inf")),
    **dict.fromkeys(["-.inf", "-.Inf", "-.INF"], (_FLOAT, "-Inf")),
}
_NUMBER_STARTS = frozenset("+-0123456789")

_INTEGER = lazily(r"([+-]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_BASES = (16, 2, 8, 10)
_DECIMAL = lazily(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_POINT_FIRST = lazily(r"\.[0-9](?:_?[0-9])*(?:[eE][-+]?[0-9](?:_?[0-9])*)?")
_MOST_DIGITS = 64
_BASE64 = lazily(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_DATE = lazily(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:(?:[Tt](?=.*(?:Z|[-+]..:..)\Z)| (?!.*(?:Z|[-+]..:..)\Z))"
    r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[.,][0-9]+)?(?:Z|[-+][0-9]{2}:[0-9]{2})?)?"
)
_SURROGATES = dict.fromkeys(range(0xDC80, 0xDD00), "\ufffd")


class Resolved(NamedTuple):
    """``text`` is a number's JSON literal, or ``NaN``, ``+Inf``, ``-Inf``. ``go_type`` tells map keys apart."""

    kind: JsonKind
    text: str
    go_type: str


@lru_cache(maxsize=4096)  # the same keys and values come again and again
def resolve(text: str, tag: str, *, implicit: bool) -> Resolved:
    """The value of a scalar. ``implicit``: its own text says the type. Raises SyntaxFault for text that its tag denies."""
    if not tag and not implicit:
        return Resolved(JsonKind.STRING, text, "string")
    if tag == _BINARY:
        return Resolved(JsonKind.STRING, _binary(text), "string")
    if tag not in _RESOLVABLE or tag == _STR:
        return Resolved(JsonKind.STRING, text, "string")
    guessed, literal, go_type = _guess(text)
    if tag == _TIMESTAMP and _is_timestamp(text):
        guessed, literal, go_type = tag, text, "string"
    elif tag == _FLOAT and go_type == "int":
        guessed, literal, go_type = tag, float_literal(float(literal)), "float64"
    if tag and tag != guessed:
        raise SyntaxFault(f"yaml: cannot decode {_short(guessed)} `{text}` as a {_short(tag)}")
    kinds = {_BOOL: JsonKind.BOOL, _NULL: JsonKind.NULL, _INT: JsonKind.NUMBER, _FLOAT: JsonKind.NUMBER}
    return Resolved(kinds.get(guessed, JsonKind.STRING), literal, go_type)


def _short(tag: str) -> str:
    return "!!" + tag.removeprefix(_PREFIX)


def _guess(text: str) -> tuple[str, str, str]:
    """Tag, literal and Go type that the text alone suggests."""
    if text in _WORDS:
        tag, literal = _WORDS[text]
        return tag, literal, {_BOOL: "bool", _NULL: "nil"}.get(tag, "float64")
    if text[0] == "." and _POINT_FIRST.fullmatch(text):
        return _float(text, text.replace("_", ""))
    if text[0] in _NUMBER_STARTS:
        digits = text.replace("_", "")
        integer = _integer(digits)
        if integer is not None:
            return _INT, str(integer), "int" if integer < 1 << 63 else "uint64"
        if _DECIMAL.fullmatch(digits):
            return _float(text, digits)
    return _STR, text, "string"


def _integer(digits: str) -> int | None:
    match = _INTEGER.fullmatch(digits)
    if match is None:
        return None
    sign, *bodies = match.groups()
    body, base = next((body, base) for body, base in zip(bodies, _BASES, strict=True) if body is not None)
    body = body.lstrip("0") or "0"
    if len(body) > _MOST_DIGITS:
        return None
    value = int(body, base)
    if sign == "-":
        return -value if value <= 1 << 63 else None
    return value if value < 1 << (63 if sign else 64) else None


def _float(text: str, digits: str) -> tuple[str, str, str]:
    value = float(digits)
    if value in {float("inf"), float("-inf")}:  # out of range is an error to strconv, and then it is a string
        return _STR, text, "string"
    return _FLOAT, float_literal(value), "float64"


def _binary(text: str) -> str:
    encoded = text.replace("\r", "").replace("\n", "")
    if not _BASE64.fullmatch(encoded):
        raise SyntaxFault("yaml: !!binary value contains invalid base64 data")
    return base64.b64decode(encoded).decode("utf-8", "surrogateescape").translate(_SURROGATES)


def _is_timestamp(text: str) -> bool:
    match = _DATE.fullmatch(text)
    if match is None:
        return False
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    if hour > 23 or minute > 59 or second > 59:
        return False
    try:
        date(year or 4, month, day)  # year 0 is a leap year to Go, and none to Python
    except ValueError:
        return False
    return True
