"""Numbers and columns as people read them."""

from __future__ import annotations

import pytest

from auditctl.operations.answer import amount, share, table


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1200, "1.2 kB"), (3.1e9, "3.1 GB"), (2e12, "2.0 TB"), (9e15, "9000.0 TB")],
)
def test_bytes_have_the_unit_that_fits(count: float, text: str) -> None:
    assert amount(count) == text


def test_a_share_of_nothing_is_a_dash() -> None:
    assert (share(1, 8), share(1, 0)) == ("12.5 %", "-")


def test_numbers_stand_to_the_right_and_a_terminal_is_not_obeyed() -> None:
    assert list(table([("NAME", "EVENTS"), ("a\x1b[2J", 7), ("longer", 1200)])) == [
        "NAME      EVENTS",
        "a\\x1b[2J       7",
        "longer      1200",
    ]
    assert list(table([])) == []
