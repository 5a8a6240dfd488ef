"""The dead man's switch: if the run dies, another process confirms its change if it serves, and undoes it if it does not.

It is the run itself, forked before the first file is touched: the same wait, the same judge, the same way back, to the
same deadline. It waits on the run's lock, which the kernel releases when the run dies, however it dies.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

from auditctl import facts
from auditctl.findings import Finding, Severity
from auditctl.node.apiserver.crash import APISERVER, KUBELET
from auditctl.node.change import change as changes
from auditctl.node.change import files
from auditctl.node.change.actor import record
from auditctl.node.change.journal import BY_THE_WATCHDOG, Journal, Recovery, Step, recovery, standing
from auditctl.node.change.state import lock_left_behind
from auditctl.node.change.watchdog import Watchdog, import_everything, set_out
from auditctl.node.kubelet.restart import RestartWaiter
from auditctl.operations.change.session import renamed_at
from auditctl.operations.change.watchdog_notice import CHECK
from auditctl.operations.controlplane import Silence
from auditctl.report import Outcome

if TYPE_CHECKING:
    from auditctl.operations.change.run import ChangeRun


def guard(performance: ChangeRun, watch: RestartWaiter) -> Watchdog | None:
    """Set a watchdog out for this change; None where nobody waits, nothing is to be put back, or it cannot be forked."""
    if not (performance.how.wait and performance.how.rollback):
        return None
    plane, change = performance.session.plane, performance.change.journal
    import_everything()
    for says in (APISERVER, KUBELET):
        facts.crashes(says)  # a file of our package
    watchdog = set_out(lambda: _stand_guard(performance, watch), plane.state.lock, f"auditctl-watchdog-{change.id}")
    if watchdog is None:
        text = "no watchdog could be started (out of memory or processes): if this run is killed, the change stays open"
        performance.findings += (Finding(CHECK, Severity.WARNING, text, "after a kill: auditctl recover"),)
        return None
    plane.progress.step(f"watchdog {watchdog.pid} takes over if this run dies")
    return watchdog


def _stand_guard(performance: ChangeRun, watch: RestartWaiter) -> None:
    """Wait until the run is gone; if its change is open still, take it over."""
    plane = performance.session.plane._replace(progress=Silence())
    performance.session = performance.session._replace(plane=plane, interrupted=_never)
    watch.tell, watch.interrupted = plane.progress.waiting, _never
    with lock_left_behind(plane.state):
        journal = plane.state.journal(performance.change.journal.id)
        if journal is None or journal.finished:
            return
        plane.state.sign(_holder(performance, journal))
        performance.change.journal, performance.change.by = journal, BY_THE_WATCHDOG
        _take_over(performance, watch, journal)
        ended = performance.change.journal
        if plane.root.is_host:
            record(f"change {ended.id}: {ended.command} died; {ended.step.value} {BY_THE_WATCHDOG}: {ended.summary}")


def _never() -> bool:
    return False


def _holder(performance: ChangeRun, journal: Journal) -> str:
    """What a run that finds the lock held is told: which change, who waits, until when."""
    plane = performance.session.plane
    rest = max(performance.seconds_left(renamed_at(plane, journal)), 0.0)
    until = plane.clock.utc() + timedelta(seconds=rest)
    died = f"auditctl {journal.command}, which died"
    return f"the watchdog (pid {os.getpid()}) of change {journal.id} ({died}; it waits until {until:%H:%M:%S} UTC)"


def _take_over(performance: ChangeRun, watch: RestartWaiter, journal: Journal) -> None:
    """Go on where the run stopped: the journal says how far it came, the manifest on disk has the last word."""
    change, plane = performance.change, performance.session.plane
    changes.sweep(change)
    replaced_at = renamed_at(plane, journal)
    match recovery(journal, standing(journal.manifest, files.digest(plane.manifest_path))):
        case Recovery.NOTHING:
            return
        case Recovery.REMOVE:
            changes.remove_last(change)
            change.try_mark(Step.DONE)
        case Recovery.LEAVE:
            change.try_mark(Step.ABANDONED, "the manifest was changed by somebody else")
        case Recovery.PUT_BACK if replaced_at is None:
            changes.put_back(change)
            change.try_mark(Step.UNDONE, "the run died before the manifest was replaced")
        case Recovery.PUT_BACK:
            performance.renamed_at = replaced_at or 0.0
            performance.undo("the run died", Outcome.ROLLED_BACK)
        case Recovery.FINISH:
            performance.renamed_at = replaced_at or 0.0
            performance.prove_or_undo(watch)
