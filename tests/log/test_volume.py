"""Rates: what is drawn has no finer parts than what was counted."""

from __future__ import annotations

from auditctl.log.volume import Rates


def test_parts_of_a_minute_are_not_drawn_as_seconds() -> None:
    """A tally keeps minutes: 21 events in 21 seconds were drawn as 21 in the first of 21 columns."""
    rates = Rates.of(60, {29_000_000: [21, 2100]}, 29_000_000 * 60 + 1, 29_000_000 * 60 + 21, 1)

    assert rates.span_seconds == 21
    assert rates.columns(60) == [21]


def test_seconds_are_drawn_as_seconds() -> None:
    rates = Rates()
    rates.count({"2026-11-30T10:00:00": [2, 20], "2026-11-30T10:00:02": [1, 10]})

    assert rates.columns(60) == [2, 0, 1]
