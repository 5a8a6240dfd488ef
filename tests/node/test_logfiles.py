"""The rotated files of a log are those that lumberjack takes for its own."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from auditctl.node.logfiles import log_files, rotated_files

ROTATED = ("audit-2026-01-11T10-00-00.000.log", "audit-2026-02-11T10-00-00.000.log.gz")
OTHERS = (
    "audit.log.1",  # logrotate's
    "audit-2026-01-11.log",
    "audit-2026-01-11T10-00-00.log",  # no milliseconds
    "audit-2026-13-11T10-00-00.000.log",  # no such month
    "audit-2026-01-11T10-00-60.000.log",  # no such second
    "audit-2026-01-11T10-00-00.000.log.bak",
    "other-2026-01-11T10-00-00.000.log",
)


def test_only_names_that_lumberjack_reads_are_rotated_files(tmp_path: Path) -> None:
    for name in ("audit.log", *ROTATED, *OTHERS):
        (tmp_path / name).touch()
    (tmp_path / "audit-2026-03-11T10-00-00.000.log").mkdir()  # oldLogFiles passes over directories

    found = rotated_files(tmp_path / "audit.log")

    assert [one.path.name for one in found] == list(ROTATED)
    assert found[0].at == datetime(2026, 1, 11, 10, tzinfo=UTC)


def test_a_log_without_an_extension_and_one_that_is_all_extension(tmp_path: Path) -> None:
    """As Go's filepath.Ext reads them."""
    for name in ("audit-2026-01-11T10-00-00.000", "-2026-01-11T10-00-00.000.log"):
        (tmp_path / name).touch()

    assert [one.path.name for one in rotated_files(tmp_path / "audit")] == ["audit-2026-01-11T10-00-00.000"]
    assert [one.path.name for one in rotated_files(tmp_path / ".log")] == ["-2026-01-11T10-00-00.000.log"]


def test_a_log_whose_directory_is_not_there_has_none(tmp_path: Path) -> None:
    assert rotated_files(tmp_path / "no/audit.log") == []
    assert list(log_files(tmp_path / "no/audit.log")) == []


def test_a_link_or_a_pipe_of_a_rotated_name_is_nobodys_log(tmp_path: Path) -> None:
    """The server renames a file; whoever else may write the directory must not choose what root reads, or make it wait."""
    log = tmp_path / "audit.log"
    log.write_text("")
    rotated = tmp_path / "audit-2026-01-01T00-00-00.000.log"
    rotated.write_text("")
    (tmp_path / "audit-2026-01-01T00-00-00.001.log").symlink_to("/etc/shadow")
    os.mkfifo(tmp_path / "audit-2026-01-01T00-00-00.002.log")

    assert sorted(log_files(log)) == [rotated, log]
    assert [each.path for each in rotated_files(log)] == [rotated]
