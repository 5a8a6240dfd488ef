"""`recover` before the kubelet: nobody can serve yet, so nobody is waited for, and what was not proved goes back."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from foldernode import PLAIN, POLICY, FakeClock

from auditctl.node.change.journal import Step
from auditctl.node.kubelet import kubelet_log
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.enable import EnableRequest, decide
from auditctl.operations.history import history
from auditctl.operations.recover import recover
from auditctl.report import Outcome
from auditctl.settings import Settings


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def host(tmp_path: Path) -> ControlPlane:
    """A node whose root is this machine's, with its manifest and its records elsewhere; no kubelet runs, nothing listens."""
    manifest = tmp_path / "manifests/kube-apiserver.yaml"
    manifest.parent.mkdir()
    manifest.write_text(PLAIN.read_text().replace("6443", str(free_port())).replace("192.0.2.10", "127.0.0.1"))
    plane = ControlPlane(manifest=str(manifest), state_dir=str(tmp_path / "state"), clock=FakeClock())
    if kubelet_log.find(plane.root) is not None:
        pytest.skip("a kubelet runs on this machine")
    return plane


def interrupted(plane: ControlPlane, tmp_path: Path) -> bytes:
    """A run that died while it waited, before the machine went down; the manifest's bytes before it."""
    from auditctl.node.change import change as changes
    from auditctl.node.change.change import Intent
    from auditctl.node.change.file_edit import FileEdit
    from auditctl.node.change.journal import Role

    policy = tmp_path / "p.yaml"
    policy.write_text(POLICY)
    settings = Settings(policy_path=str(tmp_path / "policy.yaml"), log_path=str(tmp_path / "log/audit.log"))
    work = decide(
        plane, EnableRequest(settings, str(policy)), ChangeOptions(wait=False, allow=frozenset({"apiserver-ready"}))
    ).planned
    plane.state.prepare()
    edit = FileEdit(role=Role.MANIFEST, path=plane.manifest_path, before=work.snapshot, after=work.new_text)
    change = changes.begin(
        plane.state, plane.root, plane.clock, (*work.edits, edit), Intent(command="enable", summary="x", who={})
    )
    changes.install(change)
    assert change.journal.step is Step.WAITING
    assert plane.manifest_path.read_bytes() != work.snapshot.content
    return work.snapshot.content


def test_an_unproved_change_is_undone_at_once_before_the_kubelet_runs(host: ControlPlane, tmp_path: Path) -> None:
    before = interrupted(host, tmp_path)
    report = recover(host)
    assert (report.exit_code, report.outcome) == (0, Outcome.CHANGED)
    assert "no kubelet runs" in report.summary
    assert host.manifest_path.read_bytes() == before
    assert not (tmp_path / "policy.yaml").exists()
    assert host.clock.monotonic() == 0.0  # nobody waited: the kubelet starts after us
    assert history(host).details["history"][-1]["outcome"] == "unconfirmed"
    assert recover(host).outcome is Outcome.UNCHANGED
