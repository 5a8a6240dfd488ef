"""``disable --purge`` removes what ``enable`` has installed, also what no manifest names any more, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from foldernode import HOOK

from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.disable import Purge, disable
from auditctl.operations.enable import EnableRequest, enable
from auditctl.settings import Settings

NO_WAIT = ChangeOptions(wait=False)


@pytest.fixture
def left_over(folder_node: ControlPlane, policy_file: Path, tmp_path: Path) -> Path:
    """The webhook file of a node whose webhook was switched off again."""
    hook = tmp_path / "w.yaml"
    hook.write_text(HOOK.format(1))
    enable(folder_node, EnableRequest(Settings(webhook=True), str(policy_file), hook), NO_WAIT)
    enable(folder_node, EnableRequest(Settings(webhook=False)), NO_WAIT)
    return folder_node.root.host("/etc/kubernetes/audit/webhook.yaml")


def test_a_webhook_file_of_ours_goes_although_no_manifest_names_it(folder_node: ControlPlane, left_over: Path) -> None:
    assert left_over.is_file()
    report = disable(folder_node, Purge(files=True), ChangeOptions(dry_run=True))
    assert any(str(left_over) in line for line in report.lines)
    disable(folder_node, Purge(files=True), NO_WAIT)
    assert not left_over.parent.exists()


def test_it_goes_too_where_auditing_is_off_already(folder_node: ControlPlane, left_over: Path) -> None:
    disable(folder_node, Purge(), NO_WAIT)
    assert left_over.is_file()
    disable(folder_node, Purge(files=True), NO_WAIT)
    assert not left_over.exists()


def test_one_that_somebody_else_has_written_since_stays(folder_node: ControlPlane, left_over: Path) -> None:
    left_over.write_text(HOOK.format(2))
    disable(folder_node, Purge(files=True), NO_WAIT)
    assert left_over.read_text() == HOOK.format(2)


@pytest.mark.parametrize(
    "options", [ChangeOptions(dry_run=True), ChangeOptions(wait=False)], ids=["dry run", "for good"]
)
def test_who_else_writes_the_manifest_is_told(folder_node: ControlPlane, options: ChangeOptions) -> None:
    """kubespray: its next run would switch auditing on again."""
    enable(folder_node, EnableRequest(Settings()), ChangeOptions(wait=False))
    for name in ("kubeadm-config.yaml", "kubelet.env"):
        folder_node.root.host(f"/etc/kubernetes/{name}").write_text("")

    report = disable(folder_node, Purge(), options)

    assert report.exit_code == 0
    assert "foreign-manager" in [finding.check for finding in report.findings]
