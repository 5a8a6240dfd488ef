"""Does this node record? The verdict over the evidence, and the warnings that mean: not as it is meant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from typing import NamedTuple

from auditctl.errors import AuditctlError, RefusedError
from auditctl.findings import Check, Finding, Receipt, Severity, Status
from auditctl.log.ends import LogEnds
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.metrics import Counters
from auditctl.node.kubelet import diagnosis_recording
from auditctl.node.kubelet.diagnosis import ServerState
from auditctl.operations.controlplane import ControlPlane, Silence
from auditctl.operations.evidence import counters
from auditctl.operations.evidence.node_state import NodeState, recording_of
from auditctl.operations.evidence.running_server import Running
from auditctl.settings import LOG_FLAG, POLICY_FLAG, STANDARD_OUTPUT, WEBHOOK_FLAG

_UNSEEN = (ServerState.UNSEEN, ServerState.STARTING, ServerState.SERVING)  # nothing follows for the recording
_RECEIPT_SECONDS = 3.0  # a look, not a proof: `verify` waits longer

# errors that mean: no event comes to be where it is looked for (a dropped field, say, records more or less, not nothing)
_STOPS = frozenset(
    [
        "no-policy",
        "no-backend",
        "policy-records-nothing",
        "log-not-mounted",
        "dead-log",
        "disk-full",
        "events-lost",
        "log-write",
    ]
)

# warnings that mean: events are missing, lost, or not where they are looked for
NOT_AS_MEANT = frozenset(
    [
        *("unreachable", "verb-never-sent", "pattern-never-matches", "resource-never-matches", "wrong-group"),
        *("names-on-create", "namespace-of-cluster-scoped", "outcome-omitted", "duplicate-key", "more-documents"),
        *("single-file-log", "log-not-mounted", "log-elsewhere", "log-standard-output"),
        *("events-lost", "requests-rejected", "not-auditing", "policy-not-loaded", "drift"),
    ]
)


class AuditingState(Enum):
    """Whether requests are recorded on this node now."""

    RECORDING = "recording"
    NOT_RECORDING = "on but not recording"
    OFF = "off"
    UNKNOWN = "unknown"


class Auditing(NamedTuple):
    """The verdict, its reason in words, and what to do about it. ``findings`` are what the evidence itself complains of."""

    state: AuditingState
    reason: str
    fix: str = ""
    findings: tuple[Finding, ...] = ()
    receipt: Receipt | None = None


def is_on(manifest: Manifest) -> bool:
    """Tell whether the manifest sets a policy and a backend."""
    return bool(manifest.flag(POLICY_FLAG) and (manifest.flag(LOG_FLAG) or manifest.flag(WEBHOOK_FLAG)))


def look(plane: ControlPlane, state: NodeState, ends: LogEnds | None, counted: Counters | None) -> Auditing:
    """Judge whether requests are recorded now; one request that changes nothing (GET) may be sent to see it."""
    manifest = state.manifest
    if manifest is None:
        missing = state.unread is not None and state.unread.check == "manifest-missing"
        return Auditing(
            AuditingState.UNKNOWN, f"the manifest {'is not there' if missing else 'cannot be read exactly'}"
        )
    if not manifest.audit_flags:
        return _off(state)
    try:
        complaints = tuple(diagnosis_recording.judge(recording_of(plane, manifest, state.evidence)))
    except (AuditctlError, OSError) as error:
        if state.diagnosis.state not in _UNSEEN:
            return _without_a_server(state, [])
        text = error.message if isinstance(error, AuditctlError) else f"{error.filename}: {error.strerror}"
        return Auditing(AuditingState.UNKNOWN, text)
    errors = [finding for finding in complaints if finding.check in _STOPS and finding.severity is Severity.ERROR]
    if not state.is_ready or state.diagnosis.state is not ServerState.SERVING:
        return _without_a_server(state, errors)._replace(findings=complaints)
    if errors:
        return Auditing(AuditingState.NOT_RECORDING, errors[0].message, errors[0].fix, complaints)
    return _of_a_ready_server(plane, state, manifest, ends, counted)._replace(findings=complaints)


def _off(state: NodeState) -> Auditing:
    process = state.evidence.process
    if process is not None and any(word.startswith(f"--{POLICY_FLAG}=") for word in process.flags):
        text = f"the manifest sets no audit flags, but process {process.pid} was started with an audit policy"
        return Auditing(AuditingState.UNKNOWN, text, "auditctl doctor")
    return Auditing(AuditingState.OFF, "the manifest sets no audit flags")


def _without_a_server(state: NodeState, errors: list[Finding]) -> Auditing:
    judged, process = state.diagnosis, state.evidence.process
    if judged.state is ServerState.WRONG_PROCESS and process is not None:
        if any(word.startswith(f"--{POLICY_FLAG}=") for word in process.flags):
            return Auditing(AuditingState.UNKNOWN, judged.message, judged.fix)
        text = (
            f"process {process.pid} runs without an audit policy: it was not started with the manifest's command line"
        )
        return Auditing(AuditingState.NOT_RECORDING, text, judged.fix)
    if judged.state in _UNSEEN:
        if errors:
            return Auditing(AuditingState.NOT_RECORDING, errors[0].message, errors[0].fix)
        return Auditing(AuditingState.UNKNOWN, judged.message, judged.fix)
    return Auditing(AuditingState.NOT_RECORDING, "the API server is not ready", judged.fix)


def _of_a_ready_server(
    plane: ControlPlane, state: NodeState, manifest: Manifest, ends: LogEnds | None, counted: Counters | None
) -> Auditing:
    check, receipt = _receipt(plane, manifest)
    if receipt is not None and check is None:
        return Auditing(
            AuditingState.RECORDING,
            f"{receipt.request} was recorded in line {receipt.line} of {receipt.file}",
            receipt=receipt,
        )
    if check is not None and check.status is Status.FAILED:
        lost = next(iter(_lost(plane, manifest)), None)  # the server's own count, if it has one, is the cause
        reason, fix = (lost.message, lost.fix) if lost is not None else (check.detail, "auditctl doctor")
        return Auditing(AuditingState.NOT_RECORDING, reason, fix, receipt=receipt)
    return _passive(plane, state, manifest, ends, counted, check.detail if check is not None else "")


def _receipt(plane: ControlPlane, manifest: Manifest) -> tuple[Check | None, Receipt | None]:
    """Return the first check that did not pass (None: all did), and the receipt."""
    try:
        proof = Running.look(replace(plane, progress=Silence()), manifest).observe(_RECEIPT_SECONDS)
    except RefusedError as error:
        return Check("receipt", Status.UNKNOWN, error.message), None
    order = {Status.FAILED: 0, Status.UNKNOWN: 1}
    bad = sorted((check for check in proof.checks if check.status in order), key=lambda check: order[check.status])
    return next(iter(bad), None), proof.receipt


def _lost(plane: ControlPlane, manifest: Manifest) -> tuple[Finding, ...]:
    counted = counters.read(plane, manifest)
    return tuple(counters.findings(counted, enabled=True)) if counted is not None else ()


def _passive(
    plane: ControlPlane,
    state: NodeState,
    manifest: Manifest,
    ends: LogEnds | None,
    counted: Counters | None,
    why: str,
) -> Auditing:
    """Judge by what the server has done by itself: what it wrote since its start, and what it counts."""
    process = state.evidence.process
    if ends is not None and ends.last is not None and process is not None:
        since = plane.clock.boot() - process.started
        if (plane.clock.utc() - ends.last).total_seconds() < since:
            return Auditing(AuditingState.RECORDING, "events were written since the API server started")
    if counted is not None and counted.events and not any(counted.errors.values()):
        where = "standard output" if manifest.flag(LOG_FLAG) == STANDARD_OUTPUT else "its backends"
        return Auditing(AuditingState.RECORDING, f"{_count(counted.events)} handed to {where}, none lost")
    return Auditing(AuditingState.UNKNOWN, why or "nothing was recorded yet", "auditctl verify")


def _count(events: int) -> str:
    return f"{events} event{'' if events == 1 else 's'}"


def weighty(findings: tuple[Finding, ...]) -> Iterator[Finding]:
    """Yield the errors, and the warnings that mean: not recorded as it is meant."""
    for finding in findings:
        warned = finding.severity is Severity.WARNING and finding.check in NOT_AS_MEANT
        if warned or finding.severity is Severity.ERROR:
            yield finding
