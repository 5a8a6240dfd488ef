"""Shares of a log are scanned by new interpreters."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from auditctl.log.reading import LogSegment
from auditctl.log.spawn import BrokenExecutor, scans


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
