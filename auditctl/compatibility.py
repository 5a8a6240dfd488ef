"""The newer names of the standard library, for every Python from 3.10 on: the one door by which they enter."""

from __future__ import annotations

import re
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:  # importing it costs more than all the rest of this module
    if sys.version_info >= (3, 11):
        from importlib.resources.abc import Traversable
    else:
        from importlib.abc import Traversable  # noqa: TC004 - exported for annotations only

__all__ = ["UTC", "Traversable", "assert_never", "datetime_of"]

UTC = timezone.utc

# What Python 3.10 takes has a fraction of three or six digits, a zone with a colon, and no Z.
_ISO = re.compile(
    r"(?P<day>\d{4}-?\d\d-?\d\d)"
    r"(?:.(?P<hour>\d\d)(?::?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?)?)?"
    r"(?P<zone>[Zz]|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)?"
)


def assert_never(value: NoReturn) -> NoReturn:
    """Raise for a value that no branch takes; the type checker shows that there is none."""
    raise AssertionError(f"no branch takes {value!r}")


def datetime_of(text: str) -> datetime:
    """Return the time of an ISO 8601 text. Raises ValueError.

    From Python 3.11 on the standard library reads them all; 3.10 is given the one spelling that it knows.
    """
    if sys.version_info >= (3, 11):
        return datetime.fromisoformat(text)
    return datetime.fromisoformat(_spelled_for_3_10(text))


def _spelled_for_3_10(text: str) -> str:
    """Raises ValueError for what is no such time."""
    parts = _ISO.fullmatch(text)
    if parts is None:
        raise ValueError(f"Invalid isoformat string: {text!r}")
    digits = parts["day"].replace("-", "")
    day = f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
    if parts["hour"] is None:
        if parts["zone"] is not None:
            raise ValueError(f"Invalid isoformat string: {text!r}")
        return day
    time = f"{parts['hour']}:{parts['minute'] or '00'}:{parts['second'] or '00'}"
    fraction = f".{parts['fraction'][:6]:0<6}" if parts["fraction"] else ""
    return f"{day}T{time}{fraction}{_zone(parts['zone'] or '')}"


def _zone(text: str) -> str:
    if text in ("Z", "z"):
        return "+00:00"
    digits = text[1:].replace(":", "")
    pairs = [digits[at : at + 2] for at in range(0, len(digits), 2)]
    return f"{text[:1]}{':'.join(pairs if len(pairs) != 1 else [*pairs, '00'])}"
