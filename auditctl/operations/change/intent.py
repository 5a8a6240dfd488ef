"""A planned change in the terms of the journal: its intent, its turn in the cluster, and every file that it writes."""

from __future__ import annotations

from pathlib import Path

from auditctl.node.change.actor import who
from auditctl.node.change.change import Intent
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.journal import Role
from auditctl.operations.change.old_configuration import LEAST_UNDO_SECONDS
from auditctl.operations.change_model import GuardedRun, HeldTurn, PlannedChange


def intent_of(planned: PlannedChange, turn: HeldTurn | None) -> Intent:
    """Return what the journal says of a planned change, and of the turn that it has."""
    return Intent(
        command=planned.command,
        summary=planned.summary,
        who=who(),
        directories=planned.directories,
        undoes=planned.undoes,
        restart=planned.restart.name,
        turn=turn.identity if turn is not None else "",
        change_id=turn.change_id if turn is not None else "",
    )


def edits_of(planned: PlannedChange, manifest: Path) -> tuple[FileEdit, ...]:
    """Return the writes in their order: the files beside the manifest first, then the manifest."""
    edit = FileEdit(role=Role.MANIFEST, path=manifest, before=planned.snapshot, after=planned.new_text)
    return (*planned.edits, edit)


def keep_turn_for_undo(run: GuardedRun) -> None:
    """Extend the cluster's Lease to the deadline of an undo, which counts anew; it raises nothing."""
    if run.session.turn is not None:
        run.session.turn.renew(max(run.options.timeout_seconds, LEAST_UNDO_SECONDS) + run.drain)
