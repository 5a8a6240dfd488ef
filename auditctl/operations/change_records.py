"""Keep the outage of a change in its record, and read it back for `history` and `status`."""

from __future__ import annotations

import re

from auditctl.findings import Timings
from auditctl.node.change.journal import Journal, Step

_OUTAGE = re.compile(r"^outage ([0-9]+\.[0-9]+) s$")


def outage_note(timings: Timings) -> str:
    """Return the journal's note on the outage of a change; empty where nothing was restarted."""
    return "" if timings.outage is None else f"outage {timings.outage:.1f} s"


def outage_of(journal: Journal) -> float | None:
    """Return the outage in seconds that `outage_note` kept; None where the change restarted nothing, or a watchdog ended it."""
    notes = [note for step, _, note in journal.steps if step == Step.DONE.value]
    match = _OUTAGE.match(notes[-1]) if notes else None
    return float(match[1]) if match is not None else None
