"""Durations as Go writes them (``90s``, ``5m``, ``1m30s``: time.ParseDuration without a sign), and ages for people."""

from __future__ import annotations

import re

from auditctl.patterns import lazily

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = lazily(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


def parse(text: str) -> float:
    """Seconds of a Go duration; ``0`` needs no unit.

    Raises:
        ValueError: not a duration, with the words of Go's own error.
    """
    if text == "0":
        return 0.0
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        reason = "missing unit in duration" if re.fullmatch(r"\d+(\.\d+)?", text) else "invalid duration"
        raise ValueError(f'time: {reason} "{text}"')
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def age(seconds: float) -> str:
    """Return a span in one unit, as people say it: ``12 s``, ``3 min``, ``5 h``, ``8 days``."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
