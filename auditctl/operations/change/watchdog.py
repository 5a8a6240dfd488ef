"""Take a change over from a run that died or hangs: confirm it if it serves, else undo it.

It is the run itself, forked before the first file is touched: the same wait, the same judge, the same way back, to the
same deadline. It holds a pidfd of the run. A run that stays at one step longer than that step may take (stopped, frozen,
blocked in a read) is killed; then the kernel releases its locks.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING

from auditctl import facts
from auditctl.findings import Finding, Severity
from auditctl.node.apiserver.crash import APISERVER, KUBELET
from auditctl.node.change import change as changes
from auditctl.node.change import files
from auditctl.node.change.actor import record
from auditctl.node.change.journal import BY_THE_WATCHDOG, Journal, Recovery, Step, recovery, standing
from auditctl.node.change.lock import lock_left_behind
from auditctl.node.change.watchdog import RunEnd, StepLimit, Watchdog, import_everything, set_out, wait_for_end
from auditctl.node.kubelet.restart import RestartWaiter
from auditctl.operations.change.session import renamed_at
from auditctl.operations.change.watchdog_notice import CHECK
from auditctl.operations.controlplane import Silence
from auditctl.report import Outcome

if TYPE_CHECKING:
    from auditctl.operations.change.run import ChangeRun

_FILES_SECONDS = 60.0  # for steps that only write files: a disk may be slow
_LEAST_UNDO_SECONDS = 60.0  # as the run itself allows its undo (operations/change/run.py)
_GRACE_SECONDS = 20.0  # beyond the deadline: the last look, a receipt, the diagnosis of what failed


def guard(performance: ChangeRun, watch: RestartWaiter) -> Watchdog | None:
    """Start a watchdog for this change; None with --no-wait or --no-rollback, or if it cannot be forked."""
    if not (performance.how.wait and performance.how.rollback):
        return None
    plane, change = performance.session.plane, performance.change.journal
    import_everything()
    for says in (APISERVER, KUBELET):
        facts.crashes(says)  # a file of our package
    watchdog = set_out(
        lambda run: _stand_guard(performance, watch, run),
        performance.session.locks,
        f"auditctl-watchdog-{change.id}",
    )
    if watchdog is None:
        text = "no watchdog could be started (out of memory, processes or descriptors): if this run is killed, the change stays open"
        performance.findings += (Finding(CHECK, Severity.WARNING, text, "after a kill: auditctl recover"),)
        return None
    plane.progress.step(f"watchdog {watchdog.pid} takes over if this run dies or hangs")
    return watchdog


def _stand_guard(performance: ChangeRun, watch: RestartWaiter, run: int) -> None:
    """Wait until the run has ended, or end it when it hangs; if its change is open still, take it over."""
    plane = performance.session.plane._replace(progress=Silence())
    performance.session = performance.session._replace(plane=plane, interrupted=_never)
    watch.tell, watch.interrupted = plane.progress.waiting, _never
    end = wait_for_end(run, lambda: _limit(performance), plane.clock.monotonic)
    locked = lock_left_behind(plane.state, plane.manifest_path.parent)
    with locked if end is not RunEnd.BLOCKED else nullcontext():
        journal = plane.state.journal(performance.change.journal.id)
        if journal is None:
            _go_back_from_memory(performance)
            return
        if journal.finished:
            return
        fate = "died" if end is RunEnd.BY_ITSELF else "hung and was stopped"
        plane.state.sign(_holder(performance, journal, fate))
        performance.change.journal, performance.change.by = journal, BY_THE_WATCHDOG
        _take_over(performance, watch, journal, fate)
        ended = performance.change.journal
        if plane.root.is_host:
            record(f"change {ended.id}: {ended.command} {fate}; {ended.step.value} {BY_THE_WATCHDOG}: {ended.summary}")


def _limit(performance: ChangeRun) -> StepLimit:
    """Return how long the run may take for the step that its journal is at."""
    session, options = performance.session, performance.how
    step = (session.plane.state.journal(performance.change.journal.id) or performance.change.journal).step
    match step:
        case Step.REPLACING | Step.WAITING:
            seconds = options.timeout_seconds + performance.drain
        case Step.UNDOING:
            seconds = max(options.timeout_seconds, _LEAST_UNDO_SECONDS) + performance.drain
        case _:
            seconds = _FILES_SECONDS
    return StepLimit(step.value, seconds + _GRACE_SECONDS)


def _go_back_from_memory(performance: ChangeRun) -> None:
    """Undo a change whose run and records are gone: nobody could finish it later."""
    performance.change.by = BY_THE_WATCHDOG
    performance.renamed_at = performance.session.plane.clock.boot()
    performance.undo("the run ended, and the records of its change are gone", Outcome.ROLLED_BACK)


def _never() -> bool:
    return False


def _holder(performance: ChangeRun, journal: Journal, fate: str) -> str:
    """Return what a run that finds the lock held is told: which change, who waits, until when."""
    plane = performance.session.plane
    rest = max(performance.seconds_left(renamed_at(plane, journal)), 0.0)
    until = plane.clock.utc() + timedelta(seconds=rest)
    whose = f"auditctl {journal.command}, which {fate}"
    return f"the watchdog (pid {os.getpid()}) of change {journal.id} ({whose}; it waits until {until:%H:%M:%S} UTC)"


def _take_over(performance: ChangeRun, watch: RestartWaiter, journal: Journal, fate: str) -> None:
    """Go on where the run stopped, by the journal and by the manifest that is on disk."""
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
            change.try_mark(Step.UNDONE, f"the run {fate} before the manifest was replaced")
        case Recovery.PUT_BACK:
            performance.renamed_at = replaced_at or 0.0
            performance.undo(f"the run {fate}", Outcome.ROLLED_BACK)
        case Recovery.FINISH:
            performance.renamed_at = replaced_at or 0.0
            performance.prove_or_undo(watch)
