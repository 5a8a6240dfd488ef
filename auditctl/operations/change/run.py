"""Perform a change: install, wait, prove. If any of it fails, undo it and confirm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from auditctl.errors import InterruptionError
from auditctl.findings import ChangeRecord, Check, Finding, Status
from auditctl.node.apiserver.process import Process
from auditctl.node.change import change as changes
from auditctl.node.change import removal
from auditctl.node.change.actor import record
from auditctl.node.change.change import Change
from auditctl.node.change.journal import Role, Step
from auditctl.node.change.undo_journal import returned_at
from auditctl.node.kubelet import restart
from auditctl.node.kubelet.restart import Failed, OutgoingProcess, Restarted, RestartTarget, RestartWaiter
from auditctl.operations.change.failure import (
    WaitOutcome,
    crash_findings,
    failing_before,
    in_the_users_words,
    left_over,
    not_proved,
    said_once,
)
from auditctl.operations.change.report import restart_checks
from auditctl.operations.change.restart_strategy import drain_seconds, serving
from auditctl.operations.change.run_record import change_timings, edits_of, intent_of, last_note
from auditctl.operations.change.standby import Standby
from auditctl.operations.change.two_renames import TwoRenames, bring_new_text, end_new_pod
from auditctl.operations.change.undo import keep_turn_for_undo, wait_for_previous_configuration
from auditctl.operations.change.watchdog import guard
from auditctl.operations.change_model import (
    ChangeOptions,
    ChangeResult,
    NoDowntime,
    PlannedChange,
    Proof,
    Restart,
    Session,
)
from auditctl.operations.evidence import last_known_good
from auditctl.report import Outcome
from auditctl.settings import POLICY_FLAG

_LAST_LOOK_SECONDS = 5.0
_SHORTEST_WAIT_SECONDS = 1.0
_LAST_RECEIPT_SECONDS = 2.0


def perform(session: Session, planned: PlannedChange, options: ChangeOptions) -> ChangeResult:
    """Perform the planned change and return how it ended; every step is in the journal.

    Raises:
        RefusedError: before anything was changed.
        StrandedError: it could not be put back.
    """
    return ChangeRun.begin(session, planned, options).run()


@dataclass(slots=True, kw_only=True)
class ChangeRun:
    """One run of `perform`: its session, the processes before and after, and the clocks."""

    session: Session
    planned: PlannedChange
    options: ChangeOptions
    change: Change
    before: Process | None
    outgoing: OutgoingProcess | None
    drain: float
    findings: tuple[Finding, ...]
    began: float
    two_renames: TwoRenames | None
    longest_end: float
    standby: Standby | None = None
    renamed_at: float = 0.0
    first_renamed_at: float = 0.0
    edited: float | None = None
    dark_before: float = 0.0
    restarted: Restarted | None = None
    failing_before: frozenset[str] = frozenset()

    @classmethod
    def begin(cls, session: Session, planned: PlannedChange, options: ChangeOptions) -> ChangeRun:
        plane = session.plane
        began = plane.clock.monotonic()
        before = serving(planned.before) if options.wait else None
        drain, findings = drain_seconds(plane, planned.before, options, before)
        standby = Standby.of(plane, planned) if options.no_downtime is not NoDowntime.OFF and options.wait else None
        if standby is not None:  # nobody waits for the old process, so it may finish what it has begun
            drain, findings = options.drain_seconds or standby.usual_drain, ()
        failing = failing_before(plane, planned, options)
        renames = None if standby and not drain else TwoRenames.of(plane, planned, options, before, drain)
        edits, intent = edits_of(planned, plane.manifest_path), intent_of(planned, session.turn)
        change = changes.begin(plane.state, plane.root, plane.clock, edits, intent, renames.texts if renames else ())
        return cls(
            session=session,
            planned=planned,
            options=options,
            change=change,
            before=before,
            outgoing=OutgoingProcess.hold(before),
            drain=drain,
            findings=findings,
            began=began,
            two_renames=renames,
            longest_end=renames.longest if renames else 0.0,
            standby=standby,
            failing_before=failing,
        )

    def run(self) -> ChangeResult:
        plane, interrupted = self.session.plane, self.session.deadline.interrupted
        watch = RestartWaiter.begin(plane.root, self.planned.after, plane.clock, plane.progress.waiting, interrupted)
        watchdog = guard(self, watch)
        performed = None  # the journal may not say that it ended: its directory may be gone or full
        try:
            performed = self._stopped_early() if interrupted() else self._install(watch)
        finally:
            self._end_standby()
            if watchdog is not None and (performed is not None or self.change.journal.finished):
                watchdog.dismiss()
            if self.outgoing is not None:
                self.outgoing.release()
        if plane.root.is_host:
            ended = f"{self.planned.command}: {performed.outcome.value}: {self.planned.summary}"
            record(f"change {self.change.journal.id}: {ended}")
        return performed

    def _stopped_early(self) -> ChangeResult:
        self.change.try_mark(Step.UNDOING)
        self.change.try_mark(Step.UNDONE, "interrupted before anything was changed")
        return self._performed(Outcome.INTERRUPTED, failure="interrupted; nothing was changed")

    def _install(self, watch: RestartWaiter) -> ChangeResult:
        plane = self.session.plane
        plane.progress.step(f"change {self.change.journal.id}: {self.planned.summary}")
        in_two = self.two_renames is not None
        self.renamed_at = self.first_renamed_at = changes.install(self.change, self._start_standby, two_renames=in_two)
        self.edited = plane.clock.monotonic() - self.began
        return self._unproved() if not self.options.wait else self.prove_or_undo(watch)

    def prove_or_undo(self, watch: RestartWaiter) -> ChangeResult:
        try:
            outcome = self._wait_and_prove(watch)
        except InterruptionError as interruption:
            self.dark_before = watch.outage()
            return self.undo(str(interruption), Outcome.INTERRUPTED)
        except Exception:
            self.undo("a bug of auditctl", Outcome.ROLLED_BACK)
            raise
        if not outcome.failure:
            return self._finish(outcome)
        performed = self.undo(outcome.failure, Outcome.ROLLED_BACK, outcome.checks)
        steps = (outcome.crash.fix,) if outcome.crash is not None and outcome.crash.fix else ()
        return replace(performed, next_steps=performed.next_steps or steps)

    def _wait_and_prove(self, watch: RestartWaiter) -> WaitOutcome:
        if failure := bring_new_text(self, self.two_renames, watch):
            return WaitOutcome(failure=failure)
        checks: tuple[Check, ...] = ()
        process = self.before
        still = serving(self.planned.before) if self.planned.restart is Restart.IN_PLACE else None
        if still is not None and still == self.before:  # a watchdog may come after it was ended
            restart.end_in_place(still)
        if self.planned.restart is not Restart.NONE:
            target = self._restart_target()
            result = watch.wait(target, timeout=self.patience(), drain=self.drain, outgoing=self.outgoing)
            if isinstance(result, Failed):
                self.dark_before = result.outage
                result = in_the_users_words(result, self.planned)
                self.findings += tuple(crash_findings(result.crash))
                return WaitOutcome(failure=str(result), crash=result.crash)
            self.restarted, process = result, result.process
            checks = restart_checks(result, self.session.plane.endpoint(self.planned.after))
        began = self.session.plane.clock.monotonic()
        # a server that came up at the last moment is still asked
        deadline = self.session.deadline._replace(deadline=began + self._left_or(_LAST_RECEIPT_SECONDS))
        proof = self.planned.prove(process, deadline) if process is not None else Proof()
        checks = (*checks, *proof.checks)
        failure = not_proved([check.detail for check in checks if check.status is Status.FAILED], watch)
        seconds = self.session.plane.clock.monotonic() - began
        return WaitOutcome(failure=failure, checks=checks, receipt=proof.receipt, process=process, seconds=seconds)

    def _restart_target(self) -> RestartTarget:
        return RestartTarget(
            command=self.planned.after.command,
            renamed_at=self.renamed_at,
            endpoint=self.session.plane.endpoint(self.planned.after),
            credentials=self.session.plane.credentials(),
            before=self.before,
            failing_before=self.failing_before,
            or_started_before=self.renamed_at if self.planned.may_be_left_alone else None,
        )

    def seconds_left(self, renamed_at: float | None) -> float:
        """Return the seconds to the deadline of the change, from its rename on."""
        return self.options.timeout_seconds - (self.session.plane.clock.boot() - (renamed_at or 0.0))

    def patience(self) -> float:
        """Return how long to wait: to the deadline; a watchdog that takes over after it looks once more."""
        return self._left_or(_LAST_LOOK_SECONDS if self.change.by else _SHORTEST_WAIT_SECONDS)

    def _left_or(self, shortest: float) -> float:
        return max(self.seconds_left(self.first_renamed_at), min(self.options.timeout_seconds, shortest))

    def _start_standby(self) -> None:
        if self.standby is not None:
            self.standby.start(self.change, self.session.deadline)

    def _end_standby(self) -> None:
        if self.standby is not None and self.standby.is_left:
            self.standby.end()

    def _end(self, step: Step, note: str = "") -> None:
        """Remove the files of a purge, which go last, when nothing mounts them any more; then end the journal."""
        failed: list[str] = []
        if any(edit.removed_last for edit in self.planned.edits):
            self.change.try_mark(Step.REMOVING)
            failed = removal.remove_last(self.change)
        self.change.try_mark(step, note)
        self.findings += tuple(left_over(self.change, failed))

    def _finish(self, outcome: WaitOutcome) -> ChangeResult:
        self._end_standby()
        self._end(Step.DONE, last_note(self))
        policy = next((edit.after for edit in self.planned.edits if edit.role is Role.POLICY), None)
        # the server was started with it, or it decides as the loaded one does
        last_known_good.keep(self.session.plane, self.planned.after, outcome.process, policy)
        return self._performed(
            Outcome.CHANGED,
            checks=outcome.checks,
            receipt=outcome.receipt,
            proved=all(check.status is Status.PASSED for check in outcome.checks),
            timings=change_timings(self, outcome.seconds),
        )

    def undo(self, failure: str, outcome: Outcome, checks: tuple[Check, ...] = ()) -> ChangeResult:
        """Restore the old configuration and wait until it is ready; STRANDED if it does not get ready."""
        plane = self.session.plane
        if not self.options.rollback and outcome is not Outcome.INTERRUPTED:
            self._end_standby()
            self.change.try_mark(Step.UNDOING)
            self.change.try_mark(Step.STRANDED, "--no-rollback")
            return self._performed(
                Outcome.STRANDED,
                failure=f"{failure}; left as it is (--no-rollback); the saved manifest is {self.change.backup}",
                checks=checks,
                next_steps=(f"auditctl rollback {self.change.journal.id} --allow apiserver-ready",),
            )
        plane.progress.step(f"{failure}; putting the node back")
        keep_turn_for_undo(self)
        returned = returned_at(plane.root, plane.clock, self.change.journal)
        watch = RestartWaiter.begin(plane.root, self.planned.before, plane.clock, plane.progress.waiting)
        changes.put_back(self.change, lambda: end_new_pod(self, self.two_renames, watch))
        back_at = plane.clock.boot() if returned is None else returned
        if self.planned.restart is Restart.NONE:
            self._end_standby()
            self.change.try_mark(Step.UNDONE, failure)
            return self._performed(outcome, failure=f"{failure}; put back", checks=checks)
        result = wait_for_previous_configuration(self, back_at, watch)
        self._end_standby()
        removal.clear_up(self.change)
        if isinstance(result, Restarted):
            self.restarted = result
            self.change.try_mark(Step.UNDONE, failure)
            text = f"{failure}; put back; the API server is ready with the old configuration again"
            return self._performed(outcome, failure=text, checks=checks)
        self.change.try_mark(Step.UNCONFIRMED, str(result))
        text = f"{failure}; the old manifest is back; but the API server is not ready with it: {said_once(failure, result)}"
        return self._performed(
            Outcome.STRANDED,
            failure=f"{text}; the saved manifest is {self.change.backup}",
            checks=checks,
            next_steps=(f"tail -n 20 {plane.root.host('/var/log/pods')}/*kube-apiserver*/*/*.log",),
        )

    def _unproved(self) -> ChangeResult:
        process = serving(self.planned.before) if self.planned.restart is Restart.IN_PLACE else None
        if process is not None:
            restart.end_in_place(process)
        self._end(Step.UNPROVED, "--no-wait")
        name = "receipt" if self.planned.restart is Restart.NONE else "restarted"
        checks = (Check(name, Status.UNKNOWN, "not waited for (--no-wait)"),)
        # without auditing `verify` would say no, and send back
        step = "auditctl status" if self.planned.after.flag(POLICY_FLAG) is None else "auditctl verify"
        return self._performed(Outcome.CHANGED, checks=checks, next_steps=(step,))

    def _performed(self, outcome: Outcome, **fields: Any) -> ChangeResult:
        result = ChangeResult(
            outcome=outcome,
            change=ChangeRecord(self.change.journal.id, str(self.change.backup)),
            findings=self.findings,
            timings=change_timings(self, None),
            standby=self.standby.use if self.standby is not None else None,
        )
        return replace(result, **fields)
