"""The ends of a log: size and times from two pieces of it, whatever lies between."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from auditctl.log.ends import event_time, read_ends


def line(time: str) -> bytes:
    return json.dumps({"kind": "Event", "stageTimestamp": time}).encode() + b"\n"


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def test_first_and_last_event_are_found_through_torn_lines(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    torn = line("2026-11-30T09:00:00.000000Z")[:30]
    log.write_bytes(
        torn
        + b"\n"
        + line("2026-11-30T10:00:00.123456Z")
        + line("2026-11-30T11:00:00Z") * 9
        + line("2026-11-30T12:00:00.5Z")
        + torn
    )

    ends = read_ends(log)

    assert ends is not None
    assert (ends.first, ends.last) == (at("2026-11-30T10:00:00"), at("2026-11-30T12:00:00"))
    assert ends.size_bytes == log.stat().st_size


def test_the_middle_of_a_large_log_is_not_read(tmp_path: Path) -> None:
    """A sparse gigabyte is answered at once."""
    log = tmp_path / "audit.log"
    log.write_bytes(line("2026-11-30T10:00:00Z"))
    with log.open("r+b") as file:
        file.truncate(1 << 30)
        file.seek(0, 2)
        file.write(b"\n" + line("2026-11-30T12:00:00Z"))

    ends = read_ends(log)

    assert ends is not None
    assert (ends.first, ends.last) == (at("2026-11-30T10:00:00"), at("2026-11-30T12:00:00"))


def test_no_log_and_an_empty_one(tmp_path: Path) -> None:
    assert read_ends(tmp_path / "audit.log") is None
    (tmp_path / "audit.log").touch()
    ends = read_ends(tmp_path / "audit.log")
    assert ends is not None
    assert (ends.size_bytes, ends.first, ends.last) == (0, None, None)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        (b'2026-11-30T21:00:00.5Z AUDIT: id="a" stage="ResponseComplete"', "2026-11-30T21:00:00"),
        (b'{"requestReceivedTimestamp":"2026-11-30T21:00:01.000000Z"}', "2026-11-30T21:00:01"),
        (b'{"stageTimestamp":"yesterday"}', None),
        (b"{", None),
        (b"[]", None),
        (b"\xff\xfe", None),
    ],
)
def test_the_time_of_a_line(text: bytes, time: str | None) -> None:
    assert event_time(text) == (at(time) if time else None)
