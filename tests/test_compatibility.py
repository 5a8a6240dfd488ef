"""What Python 3.10 does not have is the same there as the standard library's own."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import cast

import pytest

from auditctl import compatibility

TIMES = (
    "2026-11-21T20:29:55Z",
    "2026-11-21T20:29:55.1234567Z",
    "2026-11-21T20:29:55,5Z",
    "2026-11-21 20:29:55.000001+05:30",
    "2026-11-21T20:29:55-0130",
    "2026-11-21T20:29:55+02",
    "2026-11-21T20:29",
    "2026-11-21T20",
    "20261121T202955",
    "2026-11-21",
)
NO_TIMES = (
    "", "2026", "2026-11-21Z", "2026-13-01", "2026-11-21T25:00", "tomorrow", "2026-11-21T20:29:55+0",
)  # fmt: skip


@pytest.mark.skipif(sys.version_info < (3, 11), reason="this Python's own reader is the one that is helped")
@pytest.mark.parametrize("text", TIMES)
def test_the_spelling_for_3_10_is_the_same_time(text: str) -> None:
    """As this Python reads the original, so it reads what 3.10 is given."""
    assert datetime.fromisoformat(compatibility._spelled_for_3_10(text)) == datetime.fromisoformat(text)


@pytest.mark.parametrize("text", TIMES)
def test_every_spelling_is_read(text: str) -> None:
    """On whatever Python this is."""
    assert compatibility.datetime_of(text).date().isoformat() == "2026-11-21"


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_refused(text: str) -> None:
    """By both readers."""
    for reader in (compatibility.datetime_of, lambda one: datetime.fromisoformat(compatibility._spelled_for_3_10(one))):
        with pytest.raises(ValueError, match=r".+"):
            reader(text)


def test_a_value_that_no_branch_takes_is_an_error() -> None:
    """The type checker forbids it, so it is led past the type checker here."""
    with pytest.raises(AssertionError, match="no branch takes 7"):
        compatibility.assert_never(cast("None", 7))  # type: ignore[arg-type]
