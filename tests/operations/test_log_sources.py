"""The node's own log: a pipe in its place is refused, not waited for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from foldernode import PLAIN, POLICY

from auditctl.cli.app import run


def test_a_pipe_in_the_place_of_the_log_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "node"
    manifest = root / "etc/kubernetes/manifests/kube-apiserver.yaml"
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes(PLAIN.read_bytes())
    (tmp_path / "p.yaml").write_text(POLICY)
    assert run(["auditctl", "--rootfs", str(root), "enable", "--policy", str(tmp_path / "p.yaml"), "--no-wait"]) == 0
    log = root / "var/log/kubernetes/audit/audit.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(log)

    for words in (("log", "tail", "-n", "3"), ("log", "stats")):
        assert run(["auditctl", "--rootfs", str(root), *words]) == 3
    assert f"{log}: the log is not a regular file" in capfd.readouterr().err
