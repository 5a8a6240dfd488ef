"""``history`` names each change with its author and how it ended, and shows which one took another back."""

from __future__ import annotations

from pathlib import Path

from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.enable import EnableRequest, enable
from auditctl.operations.history import history
from auditctl.operations.rollback import rollback
from auditctl.settings import Settings

NO_WAIT = ChangeOptions(wait=False)


def test_a_node_without_changes_has_an_empty_history(folder_node: ControlPlane) -> None:
    report = history(folder_node)
    assert (report.summary, report.lines, report.details["history"]) == ("0 changes on this node", (), [])


def test_a_change_that_was_rolled_back_names_the_one_that_did_it(folder_node: ControlPlane, policy_file: Path) -> None:
    enable(folder_node, EnableRequest(Settings(), str(policy_file)), NO_WAIT)
    rollback(folder_node, None, NO_WAIT)
    first, second = history(folder_node).details["history"]
    assert (first["undoneBy"], second["undoes"]) == (second["id"], [first["id"]])
    lines = history(folder_node).lines
    assert "taken back" in lines[0]
    assert str(policy_file) in lines[0]
    assert Path(first["backup"]).is_file()
