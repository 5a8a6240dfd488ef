"""What a watchdog did after a run had died, told by `status` and by every next command."""

from __future__ import annotations

from auditctl.findings import Finding, Severity
from auditctl.node.journal import BY_THE_WATCHDOG, Step
from auditctl.operations.controlplane import ControlPlane

CHECK = "watchdog"
_DID = {
    Step.DONE: "the watchdog saw it serve, and confirmed it",
    Step.UNDONE: "the watchdog undid it, and the old configuration serves",
    Step.UNCONFIRMED: "the watchdog put the old manifest back, but did not see the API server serve with it",
    Step.STRANDED: "the watchdog could not put it back",
    Step.ABANDONED: "the watchdog left it alone",
}


def told(plane: ControlPlane) -> tuple[Finding, ...]:
    """What the watchdog did to the newest change; the next change makes it old news."""
    journals = plane.state.journals()
    if not journals or not journals[-1].ended_by_the_watchdog:
        return ()
    newest = journals[-1]
    why = newest.steps[-1][2].removesuffix(BY_THE_WATCHDOG).rstrip(", ")
    whose = f"the run of change {newest.id} ({newest.command}, {newest.started})"
    text = f"{whose} died before its end: {_DID.get(newest.step, newest.step.value)}"
    severity = Severity.INFO if newest.step in (Step.DONE, Step.UNDONE) else Severity.WARNING
    return (Finding(CHECK, severity, f"{text} ({why})" if why else text, "see `auditctl history`"),)
