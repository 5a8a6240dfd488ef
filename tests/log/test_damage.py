"""Damage: the intact events of a torn line are found, and the time for it grows with the line, not with its square."""

from __future__ import annotations

import sys

import pytest

from auditctl.log.damage import Damage, ReadStatistics, RecoveredEvent, recover
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


@pytest.mark.parametrize(
    "prefix",
    [
        "2026-11-30T10:00:00.123456789Z stdout F ",
        "2026-11-30T10:00:00+0000 cp1 kube-apiserver[12]: ",
        "Nov  3 10:00:00 cp1 kube-apiserver[12]: ",
        "<134>1 2026-11-30T10:00:00Z cp1 kube-apiserver 12 - - ",
        "<134>Nov 30 10:00:00 cp1 kube-apiserver: ",
    ],
)
def test_the_prefix_that_a_logging_program_writes_is_no_damage(prefix: str) -> None:
    assert recovered(prefix.encode() + EVENT) == [RecoveredEvent(EVENT)]


def test_an_array_of_events_is_read() -> None:
    assert recovered(b"[" + EVENT + b", " + EVENT + b"]") == [RecoveredEvent(EVENT)] * 2


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b'2016-06-29T18:42:31+02:00 AUDIT: id="c1" ip="::1" method="GET"', "line of the text format of Kubernetes before 1.8"),
        (b'2016-06-29T18:42:31+02:00 AUDIT: id="c1" response="200"', "line of the text format of Kubernetes before 1.8"),
        (b'  "kind": "Event",', "line of pretty-printed JSON"),
        (b"{", "line of pretty-printed JSON"),
        (b"    },", "line of pretty-printed JSON"),
        (b'      "system:authenticated"', "line of pretty-printed JSON"),
        (b'{"MESSAGE":"{}","__REALTIME_TIMESTAMP":"1"}', "wrapped: journal record of journalctl -o json"),
        (TORN, "torn event"),
        (b"E1130 10:00:00.1 1 audit.go: error", "not JSON"),
    ],
)  # fmt: skip
def test_what_is_no_event_has_its_own_name(line: bytes, kind: str) -> None:
    (damage,) = recovered(line)

    assert isinstance(damage, Damage)
    assert damage.kind.startswith(kind)


def test_a_file_that_can_be_unwrapped_is_shown_the_command() -> None:
    account = ReadStatistics()
    account.note("f.log", Damage("wrapped: container log in json-file format", 0, 9))

    assert [*account.sentences()][1].endswith("; unwrap them: jq -j .log FILE | auditctl log tail -")
