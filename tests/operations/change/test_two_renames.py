"""Between the two renames: what a run that died leaves is the old configuration, and the next run brings its bytes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from foldernode import OTHER_POLICY, POLICY

from auditctl.cli.app import run
from auditctl.errors import RefusedError
from auditctl.manifest.plan import plan_annotation, plan_ending
from auditctl.node.change import change as changes
from auditctl.node.change import files
from auditctl.node.change.change import Change, Intent
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.journal import Role, Step
from auditctl.operations.controlplane import ControlPlane


def between(plane: ControlPlane) -> tuple[Change, bytes, bytes]:
    """A change that has come as far as its first rename, with the old and the new text of the manifest."""
    snapshot, manifest = plane.read_manifest()
    plane.state.prepare()
    new = plan_annotation(manifest, "0" * 64).after.encode()
    policy = plane.root.host("/etc/kubernetes/audit/policy.yaml")
    policy.parent.mkdir()
    policy.write_text(POLICY)
    edits = (
        FileEdit(role=Role.POLICY, path=policy, before=files.read(policy, "policy"), after=OTHER_POLICY.encode()),
        FileEdit(role=Role.MANIFEST, path=plane.manifest_path, before=snapshot, after=new),
    )
    text = plan_ending(manifest, "20261130T213000Z").after.encode()
    change = changes.begin(
        plane.state, plane.root, plane.clock, edits, Intent(command="enable", summary="a test", who={}), text
    )
    changes.install(change)
    return change, snapshot.content, new


def test_the_first_text_has_the_old_settings_and_an_annotation(folder_node: ControlPlane) -> None:
    """The journal says so, and the policy is in place."""
    change, old, _ = between(folder_node)

    first = folder_node.manifest_path.read_text()
    assert change.journal.step is Step.ENDING
    assert "    auditctl/ending: 20261130T213000Z\n" in first
    assert first.replace("    auditctl/ending: 20261130T213000Z\n", "").encode() == old
    assert folder_node.root.host("/etc/kubernetes/audit/policy.yaml").read_text() == OTHER_POLICY


def test_the_second_rename_brings_the_new_text(folder_node: ControlPlane) -> None:
    """Byte for byte."""
    change, _, new = between(folder_node)

    changes.replace_manifest(change)

    assert folder_node.manifest_path.read_bytes() == new
    assert change.journal.step is Step.WAITING


def test_a_run_that_dies_in_between_is_undone_by_the_next(
    folder_node: ControlPlane, capfd: pytest.CaptureFixture[str]
) -> None:
    """Old manifest, old policy, nothing open."""
    _, old, _ = between(folder_node)

    code = run(["auditctl", "--rootfs", str(folder_node.root.path), "recover"])

    assert code == 0
    assert "it was undone" in "".join(capfd.readouterr())
    assert folder_node.manifest_path.read_bytes() == old
    assert folder_node.root.host("/etc/kubernetes/audit/policy.yaml").read_text() == POLICY
    assert not folder_node.state.open_changes()


def test_what_somebody_else_writes_in_between_is_respected(folder_node: ControlPlane) -> None:
    """The second rename is refused, and the next run leaves the manifest alone."""
    change, _, new = between(folder_node)
    path: Path = folder_node.manifest_path
    theirs = path.read_bytes() + b"# by hand\n"
    path.write_bytes(theirs)

    with pytest.raises(RefusedError, match="somebody else changed it"):
        changes.replace_manifest(change)
    run(["auditctl", "--rootfs", str(folder_node.root.path), "recover"])

    assert path.read_bytes() == theirs != new
    assert change.state.journals()[-1].step is Step.ABANDONED
