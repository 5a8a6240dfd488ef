"""Marks of axes are values that people count in, and cover what is drawn."""

from __future__ import annotations

import itertools
import random

import pytest

from auditctl.log.axes import NICE_SECONDS, nice_times, nice_values, time_label


def test_values_cover_the_highest_in_few_equal_steps() -> None:
    chance = random.Random(3)
    for _ in range(500):
        highest = chance.random() * 10 ** chance.randrange(-3, 9)
        values = nice_values(highest, 4)
        assert values[0] == 0
        assert values[-1] >= highest * (1 - 1e-9)
        assert 2 <= len(values) <= 6
        steps = {round((b - a) / (values[1] - values[0]), 6) for a, b in itertools.pairwise(values)}
        assert steps == {1.0}


@pytest.mark.parametrize(
    ("highest", "values"), [(0, [0, 1]), (10, [0, 5, 10]), (63, [0, 20, 40, 60, 80]), (0.4, [0, 0.1, 0.2, 0.3, 0.4])]
)
def test_values_are_round(highest: float, values: list[float]) -> None:
    assert nice_values(highest, 4) == values


def test_times_are_round_and_within_the_span() -> None:
    for span in (1, 59, 600, 86_400, 40 * 86_400, 10**9):
        step, times = nice_times(1_795_292_995, 1_795_292_995 + span, 8)
        assert len(times) <= 8
        assert all(time % step == 0 and 1_795_292_995 <= time <= 1_795_292_995 + span for time in times)
        assert step in NICE_SECONDS or span == 10**9


def test_labels_say_what_the_step_needs() -> None:
    midnight = 1_795_305_600
    assert midnight % 86_400 == 0
    assert time_label(midnight + 61, 5) == "00:01:01"
    assert time_label(midnight + 3600, 600) == "01:00"
    assert time_label(midnight, 600) == time_label(midnight, 86_400) == "Nov 22"
