"""``rollback`` gives back what there was: bytes, owner and mode; and names the backup where it cannot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from foldernode import HOOK

from auditctl.errors import RefusedError
from auditctl.node.change.journal import Role
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.disable import Purge, disable
from auditctl.operations.enable import EnableRequest, enable
from auditctl.operations.rollback import rollback
from auditctl.settings import Settings

NO_WAIT = ChangeOptions(wait=False)
USER = 1500

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


def purged(plane: ControlPlane, policy_file: Path, mode: int) -> Path:
    """A policy of another user that a purge has removed."""
    enable(plane, EnableRequest(Settings(), str(policy_file)), NO_WAIT)
    policy = plane.root.host("/etc/kubernetes/audit/policy.yaml")
    os.chown(policy, USER, USER)
    policy.chmod(mode)
    disable(plane, Purge(files=True), NO_WAIT)
    assert not policy.exists()
    return policy


@needs_root
def test_a_removed_policy_comes_back_with_its_owner_and_mode(folder_node: ControlPlane, policy_file: Path) -> None:
    policy = purged(folder_node, policy_file, 0o640)
    rollback(folder_node, None, NO_WAIT)
    status = policy.stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o640, USER, USER)
    assert policy.read_text() == policy_file.read_text()


def run_as(plane: ControlPlane, uid: int) -> None:
    """Run the API server as somebody who is not root."""
    text = plane.manifest_path.read_text()
    plane.manifest_path.write_text(
        text.replace("  securityContext:\n", f"  securityContext:\n    runAsUser: {uid}\n", 1)
    )
    assert f"runAsUser: {uid}" in plane.manifest_path.read_text()


@needs_root
def test_it_comes_back_for_a_server_that_does_not_run_as_root(folder_node: ControlPlane, policy_file: Path) -> None:
    run_as(folder_node, USER)
    log = folder_node.root.host("/var/log/kubernetes/audit")
    log.mkdir(parents=True, mode=0o700)
    os.chown(log, USER, USER)
    installed = folder_node.root.host("/etc/kubernetes/audit/policy.yaml")
    installed.parent.mkdir()
    installed.write_text(policy_file.read_text())
    os.chown(installed, USER, USER)
    policy = purged(folder_node, policy_file, 0o600)

    rollback(folder_node, None, NO_WAIT)

    assert policy.stat().st_uid == USER


@needs_root
def test_where_the_server_could_not_read_it_the_backup_is_named(folder_node: ControlPlane, policy_file: Path) -> None:
    """Its mode was one that the new user of the server cannot read."""
    purged(folder_node, policy_file, 0o600)
    run_as(folder_node, 7)
    log = folder_node.root.host("/var/log/kubernetes/audit")
    log.mkdir(parents=True, exist_ok=True)
    os.chown(log, 7, 7)
    backup = folder_node.state.saved(folder_node.state.journals()[-1], Role.POLICY, "before")

    with pytest.raises(RefusedError) as refused:
        rollback(folder_node, None, NO_WAIT)

    assert refused.value.check == "audit-permission"
    assert str(backup) in refused.value.fix
    assert backup.is_file()


def test_a_webhook_file_that_a_purge_removed_does_not_keep_the_rest_from_coming_back(
    folder_node: ControlPlane, policy_file: Path, tmp_path: Path
) -> None:
    hook = tmp_path / "w.yaml"
    hook.write_text(HOOK.format(1))
    enable(folder_node, EnableRequest(Settings(webhook=True), str(policy_file), hook), NO_WAIT)
    enable(folder_node, EnableRequest(Settings(webhook=False)), NO_WAIT)
    audited = folder_node.manifest_path.read_bytes()
    disable(folder_node, Purge(files=True), NO_WAIT)

    report = rollback(folder_node, None, NO_WAIT)

    assert folder_node.manifest_path.read_bytes() == audited
    assert "webhook-gone" in {finding.check for finding in report.findings}
