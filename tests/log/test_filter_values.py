"""Values of filters: times of a day, and the words that people type for verbs and levels."""

from __future__ import annotations

from datetime import datetime

import pytest

from auditctl.compatibility import UTC
from auditctl.errors import UsageError
from auditctl.log.filter_values import last_moment, moment
from auditctl.log.filters import LogFilters

NOW = datetime(2026, 12, 1, 4, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        ("2026-11-30", "2026-11-30T23:59:59.999999Z"),
        ("2026-11-30T10:00:00Z", "2026-11-30T10:00:00.000000Z"),
        ("2h", "2026-12-01T02:00:00.000000Z"),
    ],
)
def test_until_a_date_is_until_the_end_of_that_day(text: str, stamp: str) -> None:
    assert last_moment(text, NOW) == stamp


def test_since_a_date_is_since_its_beginning() -> None:
    assert moment("--since", "2026-11-30", NOW) == "2026-11-30T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("verb", "fix"),
    [
        ("exec", "write --subresource exec"),
        ("port-forward", "write --subresource portforward"),
        ("logs", "write --subresource log"),
        ("apply", "write --verb patch"),
        ("delte", "write --verb delete"),
    ],
)
def test_a_word_of_kubectl_that_is_no_verb_is_refused_with_what_to_write(verb: str, fix: str) -> None:
    """A request for `exec` is a get over WebSocket and a create over SPDY: no one verb finds both."""
    with pytest.raises(UsageError) as raised:
        LogFilters.of(verb=(verb,))

    assert raised.value.fix == fix


def test_a_level_that_there_is_not_is_refused_with_the_levels() -> None:
    with pytest.raises(UsageError, match="--level all: all is not one of None, Metadata, Request, RequestResponse"):
        LogFilters.of(level=("all",))
