"""Tell how long the parts of a change took."""

from __future__ import annotations

from typing import Protocol

from auditctl.findings import Timings
from auditctl.node.kubelet.restart import Restarted
from auditctl.operations.change.standby import Standby
from auditctl.operations.change_model import Session


class TimedRun(Protocol):
    """The run of a change as far as its times go."""

    session: Session
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
    values = (run.edited, restart, outage, verify, total, use.seconds if use is not None else None)
    return Timings(*(None if value is None else round(value, 3) for value in values))
