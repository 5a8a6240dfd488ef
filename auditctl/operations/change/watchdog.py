"""Take a change over from a run that died or hangs: finish it, or undo it, in a process forked beforehand.

The watchdog is a copy of the run: it waits for the same restart, takes the same proof and undoes in the same way, to the
same deadline. It holds a pidfd of the run. A run that stays at one step longer than that step may take (stopped, frozen,
blocked in a read) is killed; then the kernel releases its locks.
"""

from __future__ import annotations

# A watchdog goes on with a change whose run has died: maybe because the disk is full, or because the package was replaced
# meanwhile. Nothing that it needs may be read from a file then, so modules that others import only when they first need
# them are imported here, before the fork; what those import comes along.
import base64  # noqa: F401
import encodings.idna  # noqa: F401 (socket.create_connection encodes every host name with it)
import json  # noqa: F401
import os
import ssl  # noqa: F401
import subprocess  # noqa: F401
import syslog  # noqa: F401
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

from auditctl import facts
from auditctl.findings import Finding
from auditctl.manifest import document  # noqa: F401
from auditctl.node.apiserver import credentials, probe, receipt  # noqa: F401
from auditctl.node.apiserver.crash import APISERVER, KUBELET
from auditctl.node.change import change as changes
from auditctl.node.change import files, removal
from auditctl.node.change.actor import record
from auditctl.node.change.journal import BY_THE_WATCHDOG, Journal, OnDisk, Recovery, Step, recovery, standing
from auditctl.node.change.lock import lock_left_behind
from auditctl.node.change.watchdog import RunEnd, StepLimit, Watchdog, set_out, wait_for_end
from auditctl.node.kubelet import diagnosis_evidence, diagnosis_place  # noqa: F401
from auditctl.node.kubelet.restart import RestartWaiter
from auditctl.operations.change.session import first_renamed_at, renamed_at
from auditctl.operations.change.standby_remains import LONGEST_END_SECONDS, LONGEST_START_SECONDS, end_left_standby
from auditctl.operations.change.watchdog_notice import CHECK
from auditctl.operations.change_model import Deadline, GuardedRun
from auditctl.operations.controlplane import Silence
from auditctl.operations.evidence import webhook_delivery  # noqa: F401
from auditctl.report import Outcome

_FILES_SECONDS = 60.0  # for steps that only write files: a disk may be slow
_LEAST_UNDO_SECONDS = 60.0  # as the run itself allows its undo (operations/change/run.py)
_GRACE_SECONDS = 20.0  # beyond the deadline: the last look, a receipt, the diagnosis of what failed


def guard(run: GuardedRun, watch: RestartWaiter) -> Watchdog | None:
    """Fork the watchdog of this change and return it.

    None: the run does not wait, nothing would be undone, or the process cannot be forked (a finding says so then).
    """
    if not (run.options.wait and run.options.rollback):
        return None
    plane, change = run.session.plane, run.change.journal
    for says in (APISERVER, KUBELET):
        facts.crashes(says)  # a file of our package
    unit = f"auditctl-watchdog-{change.id}"
    watchdog = set_out(lambda process: _stand_guard(run, watch, process), run.session.locks, unit)
    if watchdog is None:
        text = (
            "no watchdog could be started (out of memory, processes or descriptors): if this run is killed, the change "
            "stays open"
        )
        run.findings += (Finding.warning(CHECK, text, "after a kill: auditctl recover"),)
        return None
    plane.progress.step(
        f"watchdog {watchdog.pid} takes over if this command is killed or hangs: it finishes or undoes the change"
    )
    return watchdog


def _stand_guard(run: GuardedRun, watch: RestartWaiter, process: int) -> None:
    """Block until the run's ``process`` (a pidfd) has ended, or end it; go on with its change if that is still open."""
    plane = replace(run.session.plane, progress=Silence())
    run.session = run.session._replace(plane=plane, deadline=Deadline())
    watch.tell, watch.interrupted = plane.progress.waiting, run.session.deadline.interrupted
    end = wait_for_end(process, lambda: _limit(run), plane.clock.monotonic)
    locked = lock_left_behind(plane.state, plane.manifest_path.parent)
    with locked if end is not RunEnd.BLOCKED else nullcontext():
        journal = plane.state.journal(run.change.journal.id)
        try:
            if journal is None or not journal.finished:
                if run.standby is not None:
                    run.standby.resume()
                _go_on(run, watch, journal, "died" if end is RunEnd.BY_ITSELF else "hung and was stopped")
        finally:
            end_left_standby(plane)
            if run.session.turn is not None:
                run.session.turn.give_back()


def _go_on(run: GuardedRun, watch: RestartWaiter, journal: Journal | None, fate: str) -> None:
    """Finish or undo the change; ``journal`` is what is on disk of it, None where that is gone."""
    if journal is None:
        _go_back_from_memory(run)
        return
    plane = run.session.plane
    if run.session.turn is not None:
        run.session.turn.renew(max(run.seconds_left(first_renamed_at(plane, journal)), 0.0) + run.drain)
    plane.state.sign(_holder(run, journal, fate))
    run.change.journal, run.change.by = journal, BY_THE_WATCHDOG
    _take_over(run, watch, journal, fate)
    ended = run.change.journal
    if plane.root.is_host:
        record(f"change {ended.id}: {ended.command} {fate}; {ended.step.value} {BY_THE_WATCHDOG}: {ended.summary}")


def _limit(run: GuardedRun) -> StepLimit:
    """Return how long the run may take for the step that its journal is at.

    A standby server is ended before the entry that ends a change or its undo.
    """
    options = run.options
    step = (run.session.plane.state.journal(run.change.journal.id) or run.change.journal).step
    standby = LONGEST_END_SECONDS if run.standby is not None else 0.0
    match step:
        case Step.STANDBY:
            seconds = LONGEST_START_SECONDS + standby
        case Step.ENDING:
            seconds = min(run.longest_end, options.timeout_seconds) + run.drain
        case Step.REPLACING | Step.WAITING:
            seconds = options.timeout_seconds + run.drain + standby
        case Step.UNDOING:
            seconds = max(options.timeout_seconds, _LEAST_UNDO_SECONDS) + run.drain + standby
        case _:
            seconds = _FILES_SECONDS
    return StepLimit(step.value, seconds + _GRACE_SECONDS)


def _go_back_from_memory(run: GuardedRun) -> None:
    """Undo a change whose run and records are gone: nobody could finish it later."""
    run.change.by = BY_THE_WATCHDOG
    run.renamed_at = run.first_renamed_at = run.session.plane.clock.boot()
    run.undo("the run ended, and the records of its change are gone", Outcome.ROLLED_BACK)


def _holder(run: GuardedRun, journal: Journal, fate: str) -> str:
    """Return the holder of the lock as another run prints it: the change, our pid, the deadline."""
    plane = run.session.plane
    rest = max(run.seconds_left(first_renamed_at(plane, journal)), 0.0)
    until = plane.clock.utc() + timedelta(seconds=rest)
    whose = f"auditctl {journal.command}, which {fate}"
    return f"the watchdog (pid {os.getpid()}) of change {journal.id} ({whose}; it waits until {until:%H:%M:%S} UTC)"


def _take_over(run: GuardedRun, watch: RestartWaiter, journal: Journal, fate: str) -> None:
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
            change.try_mark(Step.UNDONE, f"the run {fate} before the manifest was replaced")
        case Recovery.PUT_BACK:
            run.renamed_at, run.first_renamed_at = replaced_at or 0.0, first_renamed_at(plane, journal) or 0.0
            run.undo(f"the run {fate}", Outcome.ROLLED_BACK)
        case Recovery.FINISH:
            run.renamed_at, run.first_renamed_at = replaced_at or 0.0, first_renamed_at(plane, journal) or 0.0
            run.prove_or_undo(watch)
