"""``recover`` of a ``restart`` that died: what its author had edited is never lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from foldernode import OTHER_POLICY, POLICY

from auditctl.node.change import change as changes
from auditctl.node.change import files
from auditctl.node.change.change import Intent
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.journal import Role
from auditctl.operations.change_model import ChangeOptions, Restart
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.enable import EnableRequest, enable
from auditctl.operations.evidence import last_known_good
from auditctl.operations.recover import recover
from auditctl.settings import Settings


def died(plane: ControlPlane, policy_file: Path, command: str, restart: Restart) -> Path:
    """A run that died while it waited, of a policy that was edited in place; the policy's path."""
    enable(plane, EnableRequest(Settings(), str(policy_file)), ChangeOptions(wait=False))
    policy = plane.root.host("/etc/kubernetes/audit/policy.yaml")
    plane.state.keep_last_good(Role.POLICY, POLICY.encode())
    policy.write_text(OTHER_POLICY)
    snapshot = plane.read_manifest()[0]
    last_good = last_known_good.recall(plane, Role.POLICY)
    edits = (
        *last_known_good.edits_made_by_hand(policy, files.read(policy, "policy"), last_good),
        FileEdit(role=Role.MANIFEST, path=plane.manifest_path, before=snapshot, after=snapshot.content),
    )
    assert len(edits) == 2
    intent = Intent(command=command, summary="x", who={}, restart=restart.name)
    changes.install(changes.begin(plane.state, plane.root, plane.clock, edits, intent))
    return policy


def test_the_edited_policy_stays_beside_the_one_that_was_put_back(folder_node: ControlPlane, policy_file: Path) -> None:
    policy = died(folder_node, policy_file, "restart", Restart.IN_PLACE)
    policy.chmod(0o640)

    report = recover(folder_node)

    newest = folder_node.state.journals()[-1]
    rejected = policy.with_name(f"policy.yaml.rejected-{newest.id}")
    assert policy.read_text() == POLICY
    assert rejected.read_text() == OTHER_POLICY
    assert rejected.stat().st_mode & 0o777 == 0o640
    assert str(rejected) in report.summary


def test_what_no_restart_edited_leaves_nothing_beside(folder_node: ControlPlane, policy_file: Path) -> None:
    """``enable`` was given a file: it is where its author has it."""
    policy = died(folder_node, policy_file, "enable", Restart.IN_PLACE)
    recover(folder_node)
    assert policy.read_text() == POLICY
    assert [path.name for path in policy.parent.iterdir()] == ["policy.yaml"]


@pytest.mark.parametrize(("restart", "standing"), [(Restart.NONE, OTHER_POLICY), (Restart.IN_PLACE, POLICY)])
def test_where_no_restart_was_needed_none_is_waited_for(
    folder_node: ControlPlane, policy_file: Path, restart: Restart, standing: str
) -> None:
    """A policy that decides as the loaded one does is done once it stands there."""
    policy = died(folder_node, policy_file, "enable", restart)
    recover(folder_node)
    assert policy.read_text() == standing
