"""Write and read the notes of the journal: the outage, and what a watchdog did after a run had died.

`status` and every next command say the latter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from auditctl.findings import Finding, Severity, Timings
from auditctl.node.change.journal import BY_THE_WATCHDOG, Journal, Step
from auditctl.operations.controlplane import ControlPlane

CHECK = "watchdog"
_LEFT = "left to do: "
_OUTAGE = re.compile(r"^outage ([0-9]+\.[0-9]+) s$")
_DID = {
    Step.DONE: "the watchdog confirmed it: the API server is ready with it",
    Step.UNDONE: "the watchdog undid it; the API server is ready with the old configuration",
    Step.UNCONFIRMED: "the watchdog put the old manifest back, but the API server was not ready with it in time",
    Step.STRANDED: "the watchdog could not put it back",
    Step.ABANDONED: "the watchdog left it alone",
}


def left_to_do(commands: Sequence[str]) -> str:
    """Return the journal's note on what a dead run has not done behind its change; empty if nothing."""
    return f"{_LEFT}{'; '.join(commands)}" if commands else ""


def outage_note(timings: Timings) -> str:
    """Return the journal's note on the outage of a change; empty where nothing was restarted."""
    return "" if timings.outage is None else f"outage {timings.outage:.1f} s"


def outage_of(journal: Journal) -> float | None:
    """Return the outage in seconds that `outage_note` kept; None where the change restarted nothing, or a watchdog ended it."""
    notes = [note for step, _, note in journal.steps if step == Step.DONE.value]
    match = _OUTAGE.match(notes[-1]) if notes else None
    return float(match[1]) if match is not None else None


def notice(plane: ControlPlane) -> tuple[Finding, ...]:
    """Return the finding about the newest change if a watchdog ended it; else nothing."""
    journals = plane.state.journals()
    if not journals or not journals[-1].ended_by_the_watchdog:
        return ()
    newest = journals[-1]
    why = newest.steps[-1][2].removesuffix(BY_THE_WATCHDOG).rstrip(", ")
    whose = f"the run of change {newest.id} ({newest.command}, {newest.started})"
    text = f"{whose} ended before its change did: {_DID.get(newest.step, newest.step.value)}"
    severity = Severity.INFO if newest.step in (Step.DONE, Step.UNDONE) else Severity.WARNING
    fix = why.removeprefix(_LEFT) if why.startswith(_LEFT) else "see `auditctl history`"
    return (Finding(check=CHECK, severity=severity, message=f"{text} ({why})" if why else text, fix=fix),)
