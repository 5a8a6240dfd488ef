"""Do two texts of a flag's value mean the same to the server's parser? Pure.

``strconv`` and ``time.ParseDuration`` behind pflag: numbers in any base, ``1`` for ``true``, ``60s`` for ``1m``; paths that
lead to one place.
"""

from __future__ import annotations

from auditctl.durations import parse
from auditctl.facts import FlagType, audit_flags
from auditctl.manifest.mounts import normalised_path

_BOOLS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def same_value(name: str, one: str, other: str) -> bool:
    """Whether both are one value of the flag ``name`` (without dashes); what the parser refuses is only itself."""
    if one == other:
        return True
    flag = audit_flags().get(name)
    try:
        return flag is not None and _value(flag.type, one) == _value(flag.type, other)
    except (ValueError, KeyError):
        return False


def _value(kind: FlagType, text: str) -> object:
    match kind:
        case FlagType.BOOL:
            return _BOOLS[text]
        case FlagType.INT | FlagType.INT64:
            return _whole(text)
        case FlagType.FLOAT:
            return float(text)
        case FlagType.DURATION:
            return -parse(text[1:]) if text.startswith("-") else parse(text.removeprefix("+"))
        case FlagType.STRING:
            return normalised_path(text) if text.startswith("/") else text


def _whole(text: str) -> int:
    """``strconv.ParseInt`` with base 0: a leading zero alone means octal."""
    digits = text.lstrip("+-")
    octal = len(digits) > 1 and digits.startswith("0") and digits.isdecimal()
    number = int(digits, 8 if octal else 0)
    return -number if text.startswith("-") else number
