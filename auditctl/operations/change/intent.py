"""State the intent of a planned change, as its journal and its watchdog need it."""

from __future__ import annotations

from auditctl.node.change.actor import who
from auditctl.node.change.change import Intent
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


def keep_turn_for_undo(run: GuardedRun) -> None:
    """Extend the cluster's Lease to the deadline of an undo, which counts anew; it raises nothing."""
    if run.session.turn is not None:
        run.session.turn.renew(max(run.options.timeout_seconds, LEAST_UNDO_SECONDS) + run.drain)
