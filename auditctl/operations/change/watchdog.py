"""Finish or undo a change whose run has died, from a process that is forked beforehand.

The watchdog is a copy of the run: it waits for the same restart, takes the same proof and undoes in the same way, to the
same deadline. It blocks on the run's lock, which the kernel releases when the run dies, however it dies.
"""

from __future__ import annotations

import os
from datetime import timedelta

from auditctl import facts
from auditctl.findings import Finding, Severity
from auditctl.node.apiserver.crash import APISERVER, KUBELET
from auditctl.node.change import change as changes
from auditctl.node.change import files, removal
from auditctl.node.change.actor import record
from auditctl.node.change.journal import BY_THE_WATCHDOG, Journal, OnDisk, Recovery, Step, recovery, standing
from auditctl.node.change.state import lock_left_behind
from auditctl.node.change.watchdog import Watchdog, set_out
from auditctl.node.kubelet.restart import RestartWaiter
from auditctl.operations.change import imported_beforehand  # noqa: F401 (see its docstring)
from auditctl.operations.change.session import first_renamed_at, renamed_at
from auditctl.operations.change.standby_remains import end_left_standby
from auditctl.operations.change.watchdog_notice import CHECK
from auditctl.operations.change_model import Deadline, GuardedRun
from auditctl.operations.controlplane import Silence
from auditctl.report import Outcome


def guard(run: GuardedRun, watch: RestartWaiter) -> Watchdog | None:
    """Fork the watchdog of this change and return it.

    None: the run does not wait, nothing would be undone, or the process cannot be forked (a finding says so then).
    """
    if not (run.options.wait and run.options.rollback):
        return None
    plane, change = run.session.plane, run.change.journal
    for says in (APISERVER, KUBELET):
        facts.crashes(says)  # a file of our package
    watchdog = set_out(lambda: _stand_guard(run, watch), plane.state.lock, f"auditctl-watchdog-{change.id}")
    if watchdog is None:
        text = "no watchdog could be started (out of memory or processes): if this run is killed, the change stays open"
        run.findings += (Finding(CHECK, Severity.WARNING, text, "after a kill: auditctl recover"),)
        return None
    plane.progress.step(
        f"watchdog {watchdog.pid} takes over if this command is killed: it finishes or undoes the change"
    )
    return watchdog


def _stand_guard(run: GuardedRun, watch: RestartWaiter) -> None:
    """Block until the run has ended; go on with its change if that is still open."""
    plane = run.session.plane._replace(progress=Silence())
    run.session = run.session._replace(plane=plane, deadline=Deadline())
    watch.tell, watch.interrupted = plane.progress.waiting, run.session.deadline.interrupted
    with lock_left_behind(plane.state):
        journal = plane.state.journal(run.change.journal.id)
        if journal is None or journal.finished:
            return
        plane.state.sign(_holder(run, journal))
        run.change.journal, run.change.by = journal, BY_THE_WATCHDOG
        if run.standby is not None:
            run.standby.resume()
        try:
            _take_over(run, watch, journal)
        finally:
            end_left_standby(plane)
        ended = run.change.journal
        if plane.root.is_host:
            record(f"change {ended.id}: {ended.command} died; {ended.step.value} {BY_THE_WATCHDOG}: {ended.summary}")


def _holder(run: GuardedRun, journal: Journal) -> str:
    """Return the holder of the lock as another run prints it: the change, our pid, the deadline."""
    plane = run.session.plane
    rest = max(run.seconds_left(first_renamed_at(plane, journal)), 0.0)
    until = plane.clock.utc() + timedelta(seconds=rest)
    died = f"auditctl {journal.command}, which died"
    return f"the watchdog (pid {os.getpid()}) of change {journal.id} ({died}; it waits until {until:%H:%M:%S} UTC)"


def _take_over(run: GuardedRun, watch: RestartWaiter, journal: Journal) -> None:
    """Go on where the run stopped: the journal has its last step, and the manifest on disk decides."""
    change, plane = run.change, run.session.plane
    removal.sweep(change)
    replaced_at = renamed_at(plane, journal)
    stands = standing(journal.manifest, files.digest(plane.manifest_path))
    decided = recovery(journal, stands)
    if journal.step is Step.ENDING and stands is OnDisk.ENDING:  # unlike a later run, we hold the old process still
        decided = Recovery.FINISH
    match decided:
        case Recovery.NOTHING:
            return
        case Recovery.REMOVE:
            removal.remove_last(change)
            change.try_mark(Step.DONE)
        case Recovery.LEAVE:
            change.try_mark(Step.ABANDONED, "the manifest was changed by somebody else")
        case Recovery.PUT_BACK if replaced_at is None:
            changes.put_back(change)
            change.try_mark(Step.UNDONE, "the run died before the manifest was replaced")
        case Recovery.PUT_BACK:
            run.renamed_at, run.first_renamed_at = replaced_at or 0.0, first_renamed_at(plane, journal) or 0.0
            run.undo("the run died", Outcome.ROLLED_BACK)
        case Recovery.FINISH:
            run.renamed_at, run.first_renamed_at = replaced_at or 0.0, first_renamed_at(plane, journal) or 0.0
            run.prove_or_undo(watch)
