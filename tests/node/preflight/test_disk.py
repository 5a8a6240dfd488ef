"""The budget of the log: what fits, what does not, and the flags that would."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from foldernode import HERE

from auditctl.findings import Finding, Severity
from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest
from auditctl.node.change.files import Root
from auditctl.node.preflight import disk

TEXT = (HERE / "golden/kubeadm/v1.36.2/plain+log.yaml").read_text()

LOG = "/var/log/kubernetes/audit/audit.log"


def manifest(text: str = TEXT) -> Manifest:
    return Manifest.of(Document.of_text(text, "m.yaml"))


def with_flag(name: str, value: object) -> Manifest:
    lines = [line for line in TEXT.splitlines(keepends=True) if f"--{name}=" not in line]
    return manifest("".join(lines).replace("    - kube-apiserver\n", f"    - kube-apiserver\n    - --{name}={value}\n"))


def budget(root: Path, read: Manifest) -> list[Finding]:
    return list(disk.budget(Root(root), read, Root(root).host(LOG), "0"))


def test_a_log_that_fits_says_nothing_and_one_that_does_not_names_flags_that_do(tmp_path: Path) -> None:
    """Numbers on both sides, and flags that pass the same check."""
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize // (1 << 20)
    assert budget(tmp_path, with_flag("audit-log-maxsize", 1)) == []

    (one,) = budget(tmp_path, with_flag("audit-log-maxsize", free // 4))

    assert (one.check, one.severity) == ("disk", Severity.WARNING)
    assert f"of {free // 4} MB" in one.message
    words = one.fix.split()
    assert words[0] == "--log-maxbackup"
    fitting = TEXT.replace("maxsize=100", f"maxsize={free // 4}").replace("maxbackup=10", f"maxbackup={words[1]}")
    assert budget(tmp_path, manifest(fitting)) == []


def test_what_the_log_takes_already_is_in_its_budget(tmp_path: Path) -> None:
    """A full log must not be counted twice."""
    log = Root(tmp_path).host(LOG)
    log.parent.mkdir(parents=True)
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    read = with_flag("audit-log-maxsize", free // 11 // (1 << 20) + 100)
    assert len(budget(tmp_path, read)) == 1

    with log.open("wb") as file:
        file.truncate(4 << 30)  # a hole: it takes nothing, and its size counts

    assert budget(tmp_path, read) == []


@pytest.mark.parametrize(("name", "value"), [("audit-log-maxbackup", 0), ("audit-log-maxsize", 0)])
def test_a_log_without_a_bound_is_told(tmp_path: Path, name: str, value: int) -> None:
    """From 1.36 on maxsize=0 switches rotation off; before, it meant 100."""
    assert [finding.check for finding in budget(tmp_path, with_flag(name, value))] == ["disk"]
    older = with_flag(name, value).document.text.replace("v1.36.2", "v1.35.6")
    assert len(budget(tmp_path, manifest(older))) == (1 if name == "audit-log-maxbackup" else 0)
