"""Read what the records of earlier changes hold: the outage of each, and those that cannot be read, which refuse new ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

from auditctl.errors import RefusedError
from auditctl.findings import Finding, Severity, Timings
from auditctl.node.change.journal import Journal, Step
from auditctl.operations.controlplane import ControlPlane

_OUTAGE = re.compile(r"^outage ([0-9]+\.[0-9]+) s$")


def damaged(plane: ControlPlane) -> Iterator[Finding]:
    """Yield an error for each such record; none where the state directory itself may not be read."""
    with suppress(RefusedError):
        for folder in plane.state.unreadable():
            text = f"{folder}: this version cannot read this record of a change (damaged, or of a newer version)"
            fix = "use the version that wrote it, or move it out of that directory if its change is settled"
            yield Finding(check="state-unreadable", severity=Severity.ERROR, message=text, fix=fix)


def outage_note(timings: Timings) -> str:
    """Return the journal's note on the outage of a change; empty where nothing was restarted."""
    return "" if timings.outage is None else f"outage {timings.outage:.1f} s"


def outage_of(journal: Journal) -> float | None:
    """Return the outage in seconds that `outage_note` kept; None where the change restarted nothing, or a watchdog ended it."""
    notes = [note for step, _, note in journal.steps if step == Step.DONE.value]
    match = _OUTAGE.match(notes[-1]) if notes else None
    return float(match[1]) if match is not None else None
