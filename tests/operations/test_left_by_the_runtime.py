"""containerd makes an empty directory for a mount whose source is gone: an undo leaves none behind."""

from __future__ import annotations

from pathlib import Path

from auditctl.node.change.change import Change, put_back
from auditctl.node.change.removal import clear_up
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.enable import EnableRequest, enable
from auditctl.settings import Settings

POLICY = "/etc/kubernetes/audit/policy.yaml"


def undone(plane: ControlPlane, policy_file: Path) -> Change:
    """A change whose files are back already."""
    record = enable(plane, EnableRequest(Settings(), str(policy_file)), ChangeOptions(wait=False)).change
    assert record is not None
    journal = plane.state.journal(record.id)
    assert journal is not None
    change = Change(state=plane.state, root=plane.root, clock=plane.clock, journal=journal)
    put_back(change)
    return change


def test_a_directory_in_the_place_of_a_file_of_ours_goes(folder_node: ControlPlane, policy_file: Path) -> None:
    change = undone(folder_node, policy_file)
    folder_node.root.host(POLICY).mkdir(parents=True)

    clear_up(change)

    assert not folder_node.root.host(POLICY).parent.exists()


def test_what_somebody_else_has_put_there_stays(folder_node: ControlPlane, policy_file: Path) -> None:
    change = undone(folder_node, policy_file)
    theirs = folder_node.root.host(POLICY) / "theirs"
    theirs.mkdir(parents=True)

    clear_up(change)

    assert theirs.is_dir()
