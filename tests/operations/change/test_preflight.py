"""The catalogue through the operations: what refuses, what ``--allow`` turns, what a folder node never hears of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from auditctl.errors import RefusedError
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.disable import Purge, disable
from auditctl.operations.enable import EnableRequest, enable
from auditctl.settings import Settings

DRY = ChangeOptions(dry_run=True)
NO_WAIT = ChangeOptions(wait=False)


def request(policy: Path) -> EnableRequest:
    return EnableRequest(Settings(), str(policy))


def test_a_plain_node_in_a_folder_has_no_finding(folder_node: ControlPlane, policy_file: Path) -> None:
    """No false alarm, before and after."""
    assert [one for one in enable(folder_node, request(policy_file), DRY).findings if one.check != "receipt"] == []
    enable(folder_node, request(policy_file), NO_WAIT)
    again = enable(folder_node, EnableRequest(Settings(log_maxage_days=7)), DRY)
    assert [one for one in again.findings if one.check != "receipt"] == []


def test_a_foreign_manager_refuses_unless_it_is_allowed(folder_node: ControlPlane, policy_file: Path) -> None:
    """Every changing command, the dry run too; its knob is the next step."""
    manifest = folder_node.manifest_path
    manifest.write_text("# Ansible managed\n" + manifest.read_text())
    for how in (DRY, NO_WAIT):
        with pytest.raises(RefusedError, match="Ansible claims") as refused:
            enable(folder_node, request(policy_file), how)
        assert refused.value.check == "foreign-manager"

    allowed = frozenset(["foreign-manager"])
    report = enable(folder_node, request(policy_file), replace(NO_WAIT, allow=allowed))

    assert ("foreign-manager", "warning") in [(one.check, one.severity.value) for one in report.findings]
    with pytest.raises(RefusedError, match="Ansible claims"):
        disable(folder_node, Purge(), NO_WAIT)


def test_a_pod_that_the_kubelet_would_refuse_is_not_written(folder_node: ControlPlane, policy_file: Path) -> None:
    """A fault that stands in the manifest already would come to light with our edit."""
    manifest = folder_node.manifest_path
    manifest.write_text(manifest.read_text().replace("  volumes:\n", "  volumes:\n  - name: k8s-certs\n"))
    text = manifest.read_text()

    with pytest.raises(RefusedError, match="two volumes named k8s-certs"):
        enable(folder_node, request(policy_file), NO_WAIT)

    assert manifest.read_text() == text


def test_auditds_directory_is_refused_unless_it_is_allowed(folder_node: ControlPlane, policy_file: Path) -> None:
    """Told once, as an error or as a warning; with the permission it is mounted, and out again without a trace."""
    text = folder_node.manifest_path.read_text()
    asked = EnableRequest(Settings(log_path="/var/log/audit/apiserver.log"), str(policy_file))
    with pytest.raises(RefusedError) as refused:
        enable(folder_node, asked, NO_WAIT)
    assert refused.value.check == "shared-log-directory"
    assert folder_node.manifest_path.read_text() == text

    report = enable(folder_node, asked, replace(NO_WAIT, allow=frozenset(["shared-log-directory"])))

    told = [one.severity.value for one in report.findings if one.check == "shared-log-directory"]
    assert (report.exit_code, told) == (0, ["warning"])
    assert "path: /var/log/audit\n" in folder_node.manifest_path.read_text()
    disable(folder_node, Purge(), NO_WAIT)
    assert folder_node.manifest_path.read_text() == text


def test_a_log_without_an_end_is_told_once(folder_node: ControlPlane, policy_file: Path) -> None:
    """By the flags where both are 0; by the disk where the days alone bound it."""
    for days, check in ((0, "retention"), (7, "disk")):
        asked = EnableRequest(Settings(log_maxage_days=days, log_maxbackup_files=0), str(policy_file))
        report = enable(folder_node, asked, DRY)
        assert [one.check for one in report.findings if one.check in ("retention", "disk")] == [check]


def test_a_stray_manifest_is_told_with_the_one_that_wins(folder_node: ControlPlane, policy_file: Path) -> None:
    """By byte order; a name with a dot, and what lies in a folder, are not read."""
    manifest = folder_node.manifest_path
    (manifest.parent / ".kube-apiserver.yaml.swp").write_text(manifest.read_text())
    (manifest.parent / "old").mkdir()
    (manifest.parent / "old/kube-apiserver.yaml").write_text(manifest.read_text())
    enable(folder_node, request(policy_file), DRY)
    for name, winner in (("a.yaml", "kube-apiserver.yaml"), ("kube-apiserver.yaml.bak", "kube-apiserver.yaml.bak")):
        stray = manifest.parent / name
        stray.write_text(manifest.read_text())
        with pytest.raises(RefusedError, match=rf"/{winner} wins"):
            enable(folder_node, request(policy_file), DRY)
        stray.unlink()
