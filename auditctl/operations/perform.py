"""Perform a change: install, wait, prove; and if any of it fails, put the node back and see it serve."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from auditctl.errors import InterruptionError
from auditctl.findings import ChangeRecord, Check, Finding, Receipt, Severity, Status, Timings
from auditctl.node import change as changes
from auditctl.node import restart
from auditctl.node.apiserver import Endpoint
from auditctl.node.change import Change, Intent
from auditctl.node.credentials import Credentials
from auditctl.node.fileedit import FileEdit
from auditctl.node.journal import Role, Step
from auditctl.node.process import Process
from auditctl.node.restart import Expected, Failed, Old, Restarted, Watch
from auditctl.node.who import record, who
from auditctl.operations import lastgood
from auditctl.operations.drain import drain_seconds, serving
from auditctl.operations.session import Session
from auditctl.operations.work import How, Performed, Proof, Restart, Work
from auditctl.report import Outcome

_LEAST_UNDO_SECONDS = 120.0


def perform(session: Session, work: Work, how: How) -> Performed:
    """Do the work; the answer says how it ended, the journal says every step.

    Raises:
        RefusedError: before anything was changed.
        StrandedError: it could not be put back.
    """
    return _Performance.begin(session, work, how).run()


class _Seen(NamedTuple):
    """What waiting and proving came to. ``failure`` is one sentence, empty where it went well."""

    failure: str = ""
    checks: tuple[Check, ...] = ()
    receipt: Receipt | None = None
    process: Process | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class _Performance:
    """One run of `perform`: what it holds, and the clocks."""

    session: Session
    work: Work
    how: How
    change: Change
    before: Process | None
    old: Old | None
    drain: float
    findings: tuple[Finding, ...]
    began: float
    renamed_at: float = 0.0
    edited: float | None = None
    dark_before: float = 0.0
    restarted: Restarted | None = None

    @classmethod
    def begin(cls, session: Session, work: Work, how: How) -> _Performance:
        plane = session.plane
        began = plane.clock.monotonic()
        before = serving(work.before) if how.wait else None
        drain, findings = drain_seconds(session, work, how, before)
        manifest = FileEdit(Role.MANIFEST, plane.manifest_path, work.snapshot, work.new_text)
        intent = Intent(work.command, work.summary, who(), work.directories, work.undoes)
        change = changes.begin(plane.state, plane.root, plane.clock, (*work.edits, manifest), intent)
        return cls(session, work, how, change, before, Old.hold(before), drain, findings, began)

    @property
    def endpoint(self) -> Endpoint:
        return self.session.plane.endpoint(self.work.after)

    @property
    def credentials(self) -> Credentials:
        return self.session.plane.credentials()

    def run(self) -> Performed:
        plane = self.session.plane
        watch = Watch.begin(plane.root, self.work.after, plane.clock, plane.progress.waiting, self.session.interrupted)
        try:
            performed = self._stopped_early() if self.session.interrupted() else self._install(watch)
        finally:
            if self.old is not None:
                self.old.release()
        if plane.root.is_host:
            record(
                f"change {self.change.journal.id}: {self.work.command}: {performed.outcome.value}: {self.work.summary}"
            )
        return performed

    def _stopped_early(self) -> Performed:
        self.change.try_mark(Step.UNDOING)
        self.change.try_mark(Step.UNDONE, "interrupted before anything was changed")
        return self._performed(Outcome.INTERRUPTED, failure="interrupted; nothing was changed")

    def _install(self, watch: Watch) -> Performed:
        plane = self.session.plane
        plane.progress.step(f"change {self.change.journal.id}: {self.work.summary}")
        self.renamed_at = changes.install(self.change)
        self.edited = plane.clock.monotonic() - self.began
        return self._unproved() if not self.how.wait else self._prove_or_undo(watch)

    def _prove_or_undo(self, watch: Watch) -> Performed:
        try:
            seen = self._wait_and_prove(watch)
        except InterruptionError as interruption:
            self.dark_before = watch.outage()
            return self._undo(str(interruption), Outcome.INTERRUPTED)
        except Exception:
            self._undo("a bug of auditctl", Outcome.ROLLED_BACK)
            raise
        return self._undo(seen.failure, Outcome.ROLLED_BACK, seen.checks) if seen.failure else self._finish(seen)

    def _wait_and_prove(self, watch: Watch) -> _Seen:
        checks: tuple[Check, ...] = ()
        process = self.before
        if self.work.restart is Restart.IN_PLACE and self.before is not None:
            restart.end_in_place(self.before)
        if self.work.restart is not Restart.NONE:
            expected = Expected(self.work.after.command, self.renamed_at, self.endpoint, self.credentials, self.before)
            result = watch.wait(expected, timeout=self.how.timeout_seconds, drain=self.drain, old=self.old)
            if isinstance(result, Failed):
                self.dark_before = result.outage
                return _Seen(failure=_why(result))
            self.restarted, process = result, result.process
            checks = _restart_checks(result, self.endpoint)
        began = self.session.plane.clock.monotonic()
        proof = self.work.prove(process) if process is not None else Proof()
        checks = (*checks, *proof.checks)
        failed = [check.detail for check in checks if check.status is Status.FAILED]
        seconds = self.session.plane.clock.monotonic() - began
        return _Seen(failed[0] if failed else "", checks, proof.receipt, process, seconds)

    def _end(self, step: Step, note: str = "") -> None:
        """Files that a purge names go last, when nothing mounts them any more."""
        if any(edit.removed_last for edit in self.work.edits):
            self.change.try_mark(Step.REMOVING)
            self.findings += tuple(_removed(self.change))
        self.change.try_mark(step, note)

    def _finish(self, seen: _Seen) -> Performed:
        self._end(Step.DONE)
        policy = next((edit.after for edit in self.work.edits if edit.role is Role.POLICY), None)
        proved = policy if self.work.restart is Restart.NONE else None  # it decides as the loaded one does
        lastgood.keep(self.session.plane, self.work.after, seen.process, proved)
        return self._performed(
            Outcome.CHANGED,
            checks=seen.checks,
            receipt=seen.receipt,
            proved=all(check.status is Status.PASSED for check in seen.checks),
            timings=self._timings(seen.seconds),
        )

    def _undo(self, failure: str, outcome: Outcome, checks: tuple[Check, ...] = ()) -> Performed:
        """Put back, wait until the old configuration serves; exit 5 with the exact command where that fails."""
        plane = self.session.plane
        if not self.how.rollback and outcome is not Outcome.INTERRUPTED:
            self.change.try_mark(Step.UNDOING)
            self.change.try_mark(Step.STRANDED, "--no-rollback")
            return self._performed(
                Outcome.STRANDED,
                failure=f"{failure}; left as it is (--no-rollback); the saved manifest is {self.change.backup}",
                checks=checks,
                next_steps=(f"auditctl rollback {self.change.journal.id} --allow apiserver-ready",),
            )
        plane.progress.step(f"{failure}; putting the node back")
        changes.put_back(self.change)
        back_at = plane.clock.boot()
        if self.work.restart is Restart.NONE:
            self.change.try_mark(Step.UNDONE, failure)
            return self._performed(outcome, failure=f"{failure}; put back", checks=checks)
        result = self._wait_for_the_old(back_at)
        if isinstance(result, Restarted):
            self.restarted = result
            self.change.try_mark(Step.UNDONE, failure)
            text = f"{failure}; put back, and the old configuration serves again"
            return self._performed(outcome, failure=text, checks=checks)
        self.change.try_mark(Step.UNCONFIRMED, _why(result))
        text = f"{failure}; the old manifest is back, but the API server does not serve with it: {_why(result)}"
        return self._performed(
            Outcome.STRANDED,
            failure=f"{text}; the saved manifest is {self.change.backup}",
            checks=checks,
            next_steps=(f"tail -n 20 {plane.root.host('/var/log/pods')}/*kube-apiserver*/*/*.log",),
        )

    def _wait_for_the_old(self, back_at: float) -> Restarted | Failed:
        plane = self.session.plane
        now = serving(self.work.after)
        if self.work.restart is Restart.IN_PLACE and now is not None and now != self.before:
            restart.end_in_place(now)
        # a short --timeout is for the change; the way back must not fail of it
        timeout = max(self.how.timeout_seconds, _LEAST_UNDO_SECONDS)
        hanging = Old.hold(restart.any_other(self.work.after.command, self.endpoint.port))
        watch = Watch.begin(plane.root, self.work.before, plane.clock, plane.progress.waiting)
        expected = Expected(
            self.work.before.command,
            back_at,
            plane.endpoint(self.work.before),
            self.credentials,
            or_started_before=self.renamed_at,
        )
        try:
            return watch.wait(expected, timeout=timeout, drain=self.drain, old=hanging or self.old)
        finally:
            if hanging is not None:
                hanging.release()

    def _unproved(self) -> Performed:
        process = serving(self.work.before) if self.work.restart is Restart.IN_PLACE else None
        if process is not None:
            restart.end_in_place(process)
        self._end(Step.UNPROVED, "--no-wait")
        check = Check("restarted", Status.UNKNOWN, "not waited for (--no-wait)")
        return self._performed(
            Outcome.CHANGED, checks=(check,), timings=self._timings(None), next_steps=("auditctl verify",)
        )

    def _performed(self, outcome: Outcome, **fields: Any) -> Performed:
        done = Performed(
            outcome,
            ChangeRecord(self.change.journal.id, str(self.change.backup)),
            findings=self.findings,
            timings=self._timings(None),
        )
        return done._replace(**fields)

    def _timings(self, verify: float | None) -> Timings:
        total = self.session.plane.clock.monotonic() - self.began
        seconds = self.restarted.seconds if self.restarted else None
        outage = self.restarted.outage + self.dark_before if self.restarted else None
        return Timings(
            *(None if value is None else round(value, 3) for value in (self.edited, seconds, outage, verify, total))
        )


def _removed(change: Change) -> Iterator[Finding]:
    """Remove what is to go last; what cannot be removed is told, for the change itself is done."""
    try:
        changes.remove_last(change)
    except OSError as error:
        text = f"{error.filename}: cannot be removed: {(error.strerror or str(error)).lower()}"
        yield Finding("not-removed", Severity.WARNING, text, "remove it by hand")


def _restart_checks(result: Restarted, endpoint: Endpoint) -> tuple[Check, ...]:
    return (
        Check(
            "restarted",
            Status.PASSED,
            f"process {result.process.pid} was started after the change, with the manifest's command line",
        ),
        Check(
            "ready",
            Status.PASSED,
            f"{endpoint}/readyz answers 200, {result.seconds:.1f} s after the change (outage {result.outage:.1f} s)",
        ),
    )


def _why(failed: Failed) -> str:
    return f"{failed.reason}: {failed.crash.words}" if failed.crash else failed.reason
