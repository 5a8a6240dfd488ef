"""How long the old process may drain by default, by what its requests take."""

from __future__ import annotations

import pytest

from auditctl.operations.change.restart_strategy import drain_for


@pytest.mark.parametrize(
    ("answered", "within_a_second", "seconds"),
    [(0, 0, 5.0), (99, 99, 5.0), (100, 100, 1.0), (1000, 950, 1.0), (1000, 949, 5.0)],
    ids=["nothing known", "a server that has just started", "quick", "nineteen of twenty", "slower"],
)
def test_a_server_whose_requests_are_quick_drains_for_a_second(
    answered: int, within_a_second: int, seconds: float
) -> None:
    assert drain_for(answered, within_a_second) == seconds
