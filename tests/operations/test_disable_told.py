"""``disable`` says what was found before its edit, as ``enable`` does."""

from __future__ import annotations

import pytest

from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.disable import Purge, disable
from auditctl.operations.enable import EnableRequest, enable
from auditctl.settings import Settings


@pytest.mark.parametrize("how", [ChangeOptions(dry_run=True), ChangeOptions(wait=False)], ids=["dry run", "for good"])
def test_who_else_writes_the_manifest_is_told(folder_node: ControlPlane, how: ChangeOptions) -> None:
    """kubespray: its next run would switch auditing on again."""
    enable(folder_node, EnableRequest(Settings()), ChangeOptions(wait=False))
    for name in ("kubeadm-config.yaml", "kubelet.env"):
        folder_node.root.host(f"/etc/kubernetes/{name}").write_text("")

    report = disable(folder_node, Purge(), how)

    assert report.exit_code == 0
    assert "foreign-manager" in [finding.check for finding in report.findings]
