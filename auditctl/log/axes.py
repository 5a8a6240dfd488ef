"""Values and times at which axes have their marks: such as people count in."""

from __future__ import annotations

from datetime import datetime

from auditctl.compatibility import UTC

NICE_SECONDS = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000,
)  # fmt: skip
_DAY = 86400


def nice_values(highest: float, most: int) -> list[float]:
    """Return values from 0 to at least ``highest`` in equal steps of 1, 2 or 5 times a power of ten."""
    if highest <= 0:
        return [0.0, 1.0]
    power = 1.0
    while power > highest:
        power /= 10
    while power * 10 <= highest:
        power *= 10
    step = next(
        unit * scale for scale in (power / 10, power) for unit in (1, 2, 5, 10) if unit * scale * most >= highest
    )
    count = 1
    while count * step < highest * (1 - 1e-9):
        count += 1
    return [round(number * step, 10) for number in range(count + 1)]


def nice_times(begins: int, ends: int, most: int) -> tuple[int, list[int]]:
    """Return the step in seconds, and its multiples (UTC) in the span: at most ``most`` of them."""
    span = max(ends - begins, 1)
    step = next((each for each in NICE_SECONDS if span / each <= most), span // most + 1)
    first = -(-begins // step) * step
    return step, list(range(first, ends + 1, step))[:most]


def time_label(second: int, step: int) -> str:
    """Return the time as a mark needs it: a day has a date at its beginning, a step below a minute has seconds."""
    time = datetime.fromtimestamp(second, UTC)
    if step >= _DAY or second % _DAY == 0:
        return time.strftime("%b %d")
    return time.strftime("%H:%M:%S" if step < 60 else "%H:%M")
