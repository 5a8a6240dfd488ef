"""Which rotated files a change of the limits costs: counted first, then by age, as lumberjack's millRunOnce does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auditctl.findings import Finding, Severity
from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest
from auditctl.node.preflight.log_deletion import LogSettings, findings

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver, namespace: kube-system}
spec:
  containers:
  - name: kube-apiserver
    image: registry.k8s.io/kube-apiserver:v1.31.14
    command:
    - kube-apiserver
"""


def manifest(*flags: str, version: str = "1.31.14") -> Manifest:
    text = POD.replace("1.31.14", version) + "".join(f"    - --audit-log-{flag}\n" for flag in flags)
    return Manifest.of(Document.of_text(text, "m.yaml"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with a rotated file of every month from January to August."""
    for month in range(1, 9):
        (tmp_path / f"audit-2026-{month:02}-11T10-00-00.000.log").touch()
    (tmp_path / "audit.log").write_text("x")
    return tmp_path / "audit.log"


def lost(log: Path, before: Manifest, after: Manifest) -> list[Finding]:
    return list(findings(LogSettings(before, log), LogSettings(after, log), NOW))


def test_a_limit_of_files_says_how_many_would_go_and_how_old_they_are(log: Path) -> None:
    [finding] = lost(log, manifest(), manifest("maxbackup=3"))
    assert (finding.check, finding.severity) == ("log-deletion", Severity.ERROR)
    assert "delete 5 of 8 rotated files" in finding.message
    assert "2026-01-11 (233 days old) to 2026-05-11 (113 days old)" in finding.message
    assert "--audit-log-maxbackup=3" in finding.message
    assert "--allow log-deletion" in finding.fix


def test_a_limit_of_days_goes_by_the_time_in_the_name(log: Path) -> None:
    [finding] = lost(log, manifest(), manifest("maxage=30"))
    assert "delete 7 of 8 rotated files" in finding.message


def test_what_is_kept_or_was_to_go_anyway_is_not_reported(log: Path) -> None:
    assert lost(log, manifest("maxbackup=3"), manifest("maxbackup=3", "maxage=9999")) == []
    assert lost(log, manifest(), manifest("maxbackup=8")) == []
    assert lost(log, manifest("maxage=30"), manifest("maxage=60")) == []


def test_a_file_and_its_compressed_copy_count_once(log: Path) -> None:
    (log.parent / "audit-2026-08-11T10-00-00.000.log.gz").touch()
    assert lost(log, manifest(), manifest("maxbackup=8")) == []
    [finding] = lost(log, manifest(), manifest("maxbackup=7"))
    assert "delete 1 of 9" in finding.message


def test_a_log_that_has_reached_the_new_size_is_rotated_and_pushes_the_oldest_out(log: Path) -> None:
    with log.open("r+b") as file:
        file.truncate(2 << 20)
    [finding] = lost(log, manifest("maxbackup=8"), manifest("maxbackup=8", "maxsize=1"))
    assert "delete 1 of 9" in finding.message
    assert "2026-01-11" in finding.message


def test_the_defaults_of_1_36_count_as_limits(log: Path) -> None:
    """Up to 1.35 an unset flag keeps everything; from 1.36 on it does not (CHANGELOG-1.36)."""
    assert lost(log, manifest("maxage=0", "maxbackup=0"), manifest()) == []
    before = manifest("maxage=0", "maxbackup=0", version="1.36.2")
    later = NOW + timedelta(days=366)
    [finding] = findings(LogSettings(before, log), LogSettings(manifest(version="1.36.2"), log), later)
    assert "--audit-log-maxage=366 and --audit-log-maxbackup=100" in finding.message


def test_another_log_costs_nothing_but_what_lies_beside_it(log: Path) -> None:
    elsewhere = LogSettings(manifest(), log.parent / "other/audit.log")
    assert list(findings(LogSettings(manifest(), log), elsewhere, NOW)) == []
    assert list(findings(LogSettings(manifest("maxbackup=3"), log), LogSettings(manifest(), None), NOW)) == []
    [finding] = findings(elsewhere, LogSettings(manifest("maxbackup=3"), log), NOW)
    assert "delete 5 of 8" in finding.message


def test_the_age_is_counted_to_the_second(log: Path) -> None:
    """Exactly as old as allowed stays: millRunOnce asks for before the cutoff."""
    just = datetime(2026, 8, 11, 10, tzinfo=UTC) + timedelta(days=30)
    before, after = LogSettings(manifest("maxage=0"), log), LogSettings(manifest("maxage=30"), log)
    assert "7 of 8" in next(findings(before, after, just)).message
    assert "8 of 8" in next(findings(before, after, just + timedelta(seconds=1))).message
