"""Shares of a log are scanned by new interpreters."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable
from pathlib import Path

import pytest

from auditctl.log.aggregate import PolicyMatcher
from auditctl.log.segments import LogSegment
from auditctl.log.spawn import BrokenExecutor, scans
from auditctl.policy.types import Level, Policy, PolicyRule


def scan_names(pieces: Iterable[LogSegment]) -> list[tuple[str, bool]]:
    """Return what was scanned, and whether another process did it."""
    return [(piece.name, os.environ["AUDITCTL_TEST_PID"] != str(os.getpid())) for piece in pieces]


def end(pieces: Iterable[LogSegment]) -> None:
    """End as a process does that is out of memory."""
    os._exit(9)


def test_each_share_is_scanned_by_another_process_and_comes_back_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDITCTL_TEST_PID", str(os.getpid()))
    one, two = (LogSegment(name, -1) for name in ("one", "two"))

    assert scans([[one], [two]], scan_names) == [[("one", True)], [("two", True)]]


def test_a_process_that_ends_early_is_an_error() -> None:
    with pytest.raises(BrokenExecutor):
        scans([[LogSegment("one", -1)]], end)


def test_the_scan_of_replay_and_suggest_can_be_sent() -> None:
    """A scan that cannot is done in one process: no test of the answer would notice."""
    judge = PolicyMatcher((Policy((PolicyRule(level=Level.METADATA),)),), by_user=True)

    assert pickle.loads(pickle.dumps(judge.scan_alone))([]).account.events == 0
