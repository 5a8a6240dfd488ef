"""What an exercise has made of a node: does it serve, does the fault show, is it solved? Looked at, never changed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from auditctl.errors import AuditctlError, RefusedError
from auditctl.findings import Check, Status
from auditctl.lab.exercises.catalogue import Exercise, ExerciseKind
from auditctl.lab.exercises.outgoing_server import OutgoingServer
from auditctl.lab.exercises.reset import ready
from auditctl.lab.grading.grade import grade, report_of
from auditctl.node.apiserver.client import Endpoint, Readiness
from auditctl.node.apiserver.process import Process, listener
from auditctl.node.kubelet.diagnosis import Diagnosis, ServerState
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.doctor.collect import look
from auditctl.report import Outcome, Report

_POLL_SECONDS = 0.2
_TELL_SECONDS = 5.0
# of a fault a learner is told what a client, or a reader of the log, would see: anything more could name the cause
_LEARNER_WORDS = {
    "serving": "the API server is not ready, or does not run as its manifest says",
    "receipt": "a request that was sent now is not found in the audit log",
    "expect": "{about}: not recorded as it should be",
    "stages": "{about}: not recorded at the stages at which it should be",
    "log-host-path": "on the host the audit log is not where it should be",
}
_HIDDEN = "the API server is ready, but something is not as it should be, or will not be for long"


class AwaitedState(NamedTuple):
    """A state; ``unlike``: the server from before must be gone (None: whoever serves will do).

    ``endpoint`` is the server's, from before: the manifest may be one that cannot be read, or be gone.
    """

    state: ServerState
    unlike: Process | None
    endpoint: Endpoint


def serving(plane: ControlPlane) -> Process:
    """Return the API server that runs as the manifest says.

    Raises:
        RefusedError: it does not, so that nobody could tell what the exercise broke.
    """
    plane.read_manifest()  # root, another node: told in its own words
    if (process := ready(plane)) is None:
        text = "the API server does not run as its manifest says, even before the exercise"
        raise RefusedError(text, check="apiserver-ready", fix="auditctl doctor")
    return process


def wait(plane: ControlPlane, awaited: AwaitedState, leaving: OutgoingServer, timeout_seconds: float) -> None:
    """Block until the injected fault is observable.

    Raises:
        RefusedError: it is not, within ``timeout_seconds``.
    """
    since = reported = plane.clock.monotonic()
    while (now := plane.clock.monotonic()) - since < timeout_seconds:
        if _shows(plane, awaited):
            return
        leaving.look()
        if now - reported >= _TELL_SECONDS:
            plane.progress.waiting("the node to become what the exercise is about", now - since)
            reported = now
        plane.clock.sleep(_POLL_SECONDS)
    text = f"within {timeout_seconds:.0f} s the node did not become what the exercise is about"
    raise RefusedError(text, check="lab-symptom", fix="auditctl doctor")


def _shows(plane: ControlPlane, awaited: AwaitedState) -> bool:
    process = listener(awaited.endpoint.port)
    if awaited.state is ServerState.UNKNOWN:
        return process is None
    if awaited.state is ServerState.SERVING:
        is_previous = process is None or (awaited.unlike is not None and process.identity == awaited.unlike.identity)
        return not is_previous and awaited.endpoint.readiness(plane.credentials()) is Readiness.READY
    if process is not None and awaited.state in (ServerState.NEVER_STARTED, ServerState.CRASH_LOOPING):
        return False  # the old one, which the kubelet stops within 20 s
    judged = _diagnosis(plane)
    sure = judged is not None and (judged.certain or judged.crash is not None)
    return judged is not None and judged.state is awaited.state and sure


def _diagnosis(plane: ControlPlane) -> Diagnosis | None:
    with suppress(AuditctlError):
        return look(plane, ChangeOptions(), proving=False).diagnosis
    return None


def verdict(plane: ControlPlane, exercise: Exercise) -> Report:
    """Judge the exercise: exit code 0 solved, 1 not yet, 3 unknown. Of a fault only what a client would see is said.

    Raises:
        RefusedError: the node may not be read.
    """
    checks = grade(plane, exercise.wants)
    if exercise.kind is ExerciseKind.TASK:
        return report_of(plane, checks)
    passed = [check for check in checks if check.status is Status.PASSED]
    failed = [check for check in checks if check.status is Status.FAILED]
    others = [_guarded(check) for check in failed or checks if check.status is not Status.PASSED]
    report = report_of(plane, (*passed, *others[:1]))
    if report.outcome is not Outcome.NEGATIVE:
        return report
    text = f"not yet: {others[0].detail}" if others else report.summary
    return replace(report, summary=text)


def _guarded(check: Check) -> Check:
    kind, _, about = check.name.partition(" ")
    wording = _LEARNER_WORDS.get(kind)
    return Check(check.name if wording else "as it should be", check.status, (wording or _HIDDEN).format(about=about))


def until_solved(
    plane: ControlPlane, exercise: Exercise, leaving: OutgoingServer, timeout_seconds: float, *, anew: bool
) -> Report:
    """Wait for a good verdict; return it, or the last one. ``anew``: not of the server that is to go.

    Raises:
        RefusedError: the node may not be read.
    """
    until = plane.clock.monotonic() + timeout_seconds
    while plane.clock.monotonic() < until:
        leaving.look()
        if not (anew and leaving.listens()) and verdict(plane, exercise).outcome is Outcome.UNCHANGED:
            break
        plane.clock.sleep(_POLL_SECONDS)
    return verdict(plane, exercise)
