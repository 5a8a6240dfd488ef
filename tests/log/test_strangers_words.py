"""What a log holds is anybody's: it neither ends a command nor reaches a terminal as it is, and no process outlives its reader."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from auditctl.compatibility import UTC
from auditctl.errors import UsageError
from auditctl.log import events_json, events_msgspec
from auditctl.log.events import Reader
from auditctl.log.filter_values import moment

ESCAPE = "\x1b]0;owned\x07"
ORPHAN = """
import os, signal
from auditctl.log import parallel

def for_ever(pipe):
    while True:
        pipe.send_bytes(b"x" * 65536)

with parallel._workers([for_ever, for_ever]) as pipes:
    import multiprocessing
    print(*(worker.pid for worker in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Three events whose user, level and time no API server writes."""
    rows = [
        {"user": {"username": "u", "groups": None}},
        {"user": {"username": 1}},
        {"user": {"username": ESCAPE}, "level": f"{ESCAPE}Metadata", "stageTimestamp": ESCAPE},
    ]
    common = {"kind": "Event", "auditID": "a", "stage": "ResponseComplete", "requestURI": "/version", "verb": "get"}
    path = tmp_path / "audit.log"
    path.write_text("".join(json.dumps({"level": "Metadata", **common, **row}) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("words", [["log", "top"], ["log", "tail"], ["policy", "replay", "baseline", "--log"]])
def test_an_odd_event_ends_no_command_and_sends_the_terminal_nothing(log: Path, words: list[str]) -> None:
    ran = subprocess.run([sys.executable, "-m", "auditctl", *words, log], capture_output=True, text=True)
    assert (ran.returncode, "bug" in ran.stderr) == (0, False), ran.stderr
    assert {"\x1b", "\x07"}.isdisjoint(ran.stdout + ran.stderr)


@pytest.mark.parametrize("reader", [events_msgspec.READER, events_json.READER], ids=["msgspec", "json"])
def test_who_cannot_be_read_is_nobody_and_no_groups_are_none(reader: Reader) -> None:
    read = [reader.identity(raw) for raw in (b'{"username":"u","groups":null}', b'{"username":1}', b"[]")]
    assert [(one.username, list(one.groups)) for one in read] == [("u", []), ("", []), ("", [])]


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+10:00", "1h\n2", "yesterday"])
def test_a_time_that_is_none_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="neither a time"):
        moment("--since", text, datetime.now(UTC))


def test_a_reading_process_ends_when_the_one_who_started_it_is_killed() -> None:
    """Otherwise it would hold rotated logs, and the disk's room, for ever."""
    ran = subprocess.run([sys.executable, "-c", ORPHAN], capture_output=True, text=True)
    assert ran.returncode == -signal.SIGKILL
    workers = [Path(f"/proc/{pid}/stat") for pid in ran.stdout.split()]
    assert len(workers) == 2
    end = time.monotonic() + 20
    while alive := [
        path for path in workers if path.exists() and path.read_text().rpartition(")")[2].split()[0] != "Z"
    ]:
        assert time.monotonic() < end, [os.readlink(path.with_name("exe")) for path in alive]
