"""Damage: the intact events of a torn line are found, and the time for it grows with the line, not with its square."""

from __future__ import annotations

import sys

import pytest

from auditctl.log.damage import Damage, RecoveredEvent, recover
from auditctl.log.readers import reader as choose_reader

EVENT = (
    b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"ResponseComplete",'
    b'"requestURI":"/version","verb":"get","user":{"username":"j\xc3\xb6rg"},'
    b'"requestReceivedTimestamp":"2026-01-01T00:00:00.000000Z","stageTimestamp":"2026-01-01T00:00:00.000000Z"}'
)
TORN = EVENT[:60]


def recovered(line: bytes) -> list[RecoveredEvent | Damage]:
    return list(recover(line, 0, choose_reader()))


def test_events_between_torn_ones_are_found_with_their_own_bytes() -> None:
    found = recovered(TORN + EVENT + b"\x00\x00" + TORN + EVENT + b"rest\xff")

    assert [each.raw for each in found if isinstance(each, RecoveredEvent)] == [EVENT, EVENT]
    assert [each.kind for each in found if isinstance(each, Damage)] == [
        "torn event",
        "run of NUL bytes",
        "torn event",
        "not JSON",
    ]


LINES = {
    "torn events": TORN,
    "short torn events": b'{"kind":"Event',
    "nested torn events": b'{"kind":"Event","x":[1,2,',
    "events without a line end": EVENT,
    "braces": b"{",
}


def calls_and_bytes(line: bytes) -> int:
    """Calls of functions, those of C that read text among them by the length of their text."""
    count = 0

    def counting(_: object, event: str, __: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(counting)
    try:
        recovered(line)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("name", LINES)
def test_four_times_the_line_is_about_four_times_the_calls(name: str) -> None:
    few, many = LINES[name] * 100, LINES[name] * 400

    assert calls_and_bytes(many) <= 8 * calls_and_bytes(few)


@pytest.mark.parametrize("name", LINES)
def test_a_megabyte_of_damage_is_decoded_once(name: str) -> None:
    """A second decoding of the rest for each place would be gigabytes here, and the test would not end."""
    line = LINES[name] * (1_100_000 // len(LINES[name]))
    found = recovered(line)

    assert sum(each.length for each in found if isinstance(each, Damage)) + sum(
        len(each.raw) for each in found if isinstance(each, RecoveredEvent)
    ) == len(line)
