"""Put a run in the terms of the journal (its intent, the files that it writes) and of the report (the seconds that it took)."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from auditctl.findings import Timings
from auditctl.node.change.actor import who
from auditctl.node.change.change import Change, Intent
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.journal import Role
from auditctl.node.kubelet.restart import Restarted
from auditctl.operations.change.standby import Standby
from auditctl.operations.change.watchdog_notice import left_to_do, outage_note
from auditctl.operations.change_model import HeldTurn, PlannedChange, Session


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


class TimedRun(Protocol):
    """The run of a change as far as its times and its last note go."""

    session: Session
    planned: PlannedChange
    change: Change
    began: float
    renamed_at: float
    first_renamed_at: float
    edited: float | None
    dark_before: float
    restarted: Restarted | None
    standby: Standby | None


def change_timings(run: TimedRun, verify: float | None) -> Timings:
    """Return the seconds that each part took; with a standby, which served meanwhile, there was no outage."""
    ending = max(run.renamed_at - run.first_renamed_at, 0.0)
    restart = run.restarted.seconds + ending if run.restarted else None
    outage = run.restarted.outage + run.dark_before if run.restarted else None
    use = run.standby.use if run.standby is not None else None
    if outage is not None and use is not None:
        outage = 0.0
    total = run.session.plane.clock.monotonic() - run.began
    return Timings(
        edit=_milliseconds(run.edited),
        restart=_milliseconds(restart),
        outage=_milliseconds(outage),
        verify=_milliseconds(verify),
        total=_milliseconds(total),
        standby=_milliseconds(use.seconds if use is not None else None),
    )


def last_note(run: TimedRun) -> str:
    """Return what the journal notes of a change that is done: its outage; of a watchdog, the commands left to run."""
    return left_to_do(run.planned.afterwards) if run.change.by else outage_note(change_timings(run, None))


def _milliseconds(seconds: float | None) -> float | None:
    """Return ``seconds`` rounded to a millisecond."""
    return None if seconds is None else round(seconds, 3)
