"""Everything that ``doctor`` looks at, in the order in which a cause should be read; nothing is changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import AuditctlError, Place, RefusedError
from auditctl.findings import Finding, Receipt, Severity, Status, Verification
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.credentials import NOBODY
from auditctl.node.apiserver.process import Process
from auditctl.node.change import files
from auditctl.node.change.files import Snapshot
from auditctl.node.kubelet import diagnosis, diagnosis_recording
from auditctl.node.kubelet.diagnosis import Diagnosis, Evidence, ServerState
from auditctl.node.kubelet.diagnosis_evidence import EvidenceSources, collect
from auditctl.node.kubelet.diagnosis_recording import Recording
from auditctl.node.preflight import node_checks
from auditctl.operations import policy_source
from auditctl.operations.change import preflight as change_preflight
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.change_records import damaged
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.doctor import manifest as doctor_manifest
from auditctl.operations.doctor import stray
from auditctl.operations.evidence import last_known_good
from auditctl.operations.policy.validate import ValidateOptions, validate
from auditctl.operations.status import status
from auditctl.operations.verify import VerifyOptions, verify
from auditctl.patterns import lazily
from auditctl.policy.load import load
from auditctl.settings import LOG_FLAG, POLICY_FLAG, WEBHOOK_FLAG

# said here in better words, or by another look
_SAID_ELSEWHERE = frozenset(
    [
        "apiserver-ready",
        "untrusted-listener",
        "drift",
        "stray-manifests",
        "policy",
        "policy-missing",
        "no-backend",
        "no-policy",
    ]
)
_VOLUME = lazily(r"\bvolume [\w.-]+")
_QUIET = frozenset([ServerState.SERVING])
_MILD = frozenset([ServerState.STARTING, ServerState.UNSEEN])


class Observations(NamedTuple):
    """What was found. ``manifest`` None: it is not there, or cannot be read; then only logs and processes speak."""

    evidence: Evidence
    diagnosis: Diagnosis
    findings: tuple[Finding, ...]
    snapshot: Snapshot | None = None
    manifest: Manifest | None = None
    verification: Verification = Verification()
    receipt: Receipt | None = None


def look(plane: ControlPlane, how: ChangeOptions, *, proving: bool = True) -> Observations:
    """Look at all of it. ``proving``: ask the server for a receipt, and its own binary for its opinion.

    Raises: nothing of the node's state; what cannot be seen is a finding.
    """
    snapshot, manifest, unread = _manifest(plane)
    evidence = collect(_node(plane, manifest))
    judged = diagnosis.judge(evidence)
    told = () if unread and judged.crash is None else tuple(_diagnosed(judged))
    found = [*unread, *damaged(plane), *_unseen(plane, evidence), *told]
    verification, receipt = Verification(), None
    if manifest is not None:
        # of a folder that nobody runs, the live checks know nothing
        looked = _guarded(plane, manifest, evidence, how if evidence.live else replace(how, wait=False))
        found += (finding for finding in looked if not _is_told(finding, told))
        if proving and judged.state is ServerState.SERVING and evidence.process is not None and _is_on(manifest):
            verification, receipt, more = _proof(plane)
            found += more
        found += _last_good(plane)
        if proving:
            found += _rehearsed(plane, manifest, evidence)
    return Observations(evidence, judged, _once(found), snapshot, manifest, verification, receipt)


def _manifest(plane: ControlPlane) -> tuple[Snapshot | None, Manifest | None, list[Finding]]:
    try:
        snapshot, manifest = plane.read_manifest()
        _ = manifest.secure_port
    except AuditctlError as error:
        return None, None, list(doctor_manifest.findings(plane, error))
    return snapshot, manifest, []


def _node(plane: ControlPlane, manifest: Manifest | None) -> EvidenceSources:
    endpoint, credentials = None, NOBODY
    with suppress(RefusedError):
        endpoint = plane.endpoint(manifest) if manifest is not None else None
    with suppress(RefusedError):
        credentials = plane.credentials()
    return EvidenceSources(plane.root, plane.manifest_path, manifest, endpoint, credentials)


def _unseen(plane: ControlPlane, evidence: Evidence) -> Iterator[Finding]:
    """What this run could not look at, and why."""
    if os.geteuid() != 0 and plane.root.is_host:
        text = "not run as root: whose the port is, what the process has open, container logs and secrets were not seen"
        yield Finding("not-root", Severity.WARNING, text, "sudo auditctl doctor")
    if not evidence.kubelet_log and evidence.live:
        text = "the kubelet's own log was not found: neither a file behind its stderr nor a journal"
        yield Finding("kubelet-log", Severity.INFO, text)


def _diagnosed(judged: Diagnosis) -> Iterator[Finding]:
    if judged.state in _QUIET and judged.certain:
        return
    severity = Severity.WARNING if judged.state in (_QUIET | _MILD) else Severity.ERROR
    text = judged.message if judged.certain else f"probably: {judged.message}"
    place = judged.crash.place if judged.crash is not None else None
    where = (place.file, place.line, place.column) if place else ("", 0, 0)
    yield Finding(judged.check, severity, text, judged.fix, "", *where)


def _is_told(finding: Finding, told: Collection[Finding]) -> bool:
    """Has the kubelet said the same of the same volume? Its words are told; one path on the host may have two names."""
    volume = _VOLUME.search(finding.message)
    same = (one for one in told if one.check == finding.check)
    return volume is not None and any(volume[0] in _VOLUME.findall(one.message) for one in same)


def _guarded(plane: ControlPlane, manifest: Manifest, evidence: Evidence, how: ChangeOptions) -> Iterator[Finding]:
    """Every look that reads files; one that is refused its file is a finding, not the end."""
    looks: tuple[Callable[[], list[Finding]], ...] = (
        lambda: list(stray.findings(plane, manifest, evidence.process)),
        lambda: list(_policy(plane, manifest)),
        lambda: list(_preflight(plane, manifest, evidence.process, how)),
        lambda: list(diagnosis_recording.judge(_recording(plane, manifest, evidence))),
        lambda: [finding for finding in status(plane).findings if finding.check not in _SAID_ELSEWHERE],
    )
    for one in looks:
        try:
            yield from one()
        except AuditctlError as error:
            place = error.place or Place("")
            yield Finding(error.check, Severity.ERROR, error.message, error.fix, "", *place)
        except OSError as error:
            text = f"{error.filename}: could not be looked at: {(error.strerror or str(error)).lower()}"
            yield Finding("unreadable", Severity.WARNING, text, "run it as root (sudo)")


def _policy(plane: ControlPlane, manifest: Manifest) -> Iterator[Finding]:
    """What the next start of the server makes of the installed policy."""
    host = node_checks.host_of(plane.root, manifest, POLICY_FLAG)
    if host is None or not host.is_file():
        return
    document = validate(plane, ValidateOptions((str(host),))).document
    for row in document["files"][0]["findings"]:
        yield Finding(
            row["check"],
            Severity(row["severity"]),
            row["message"],
            row["fix"] or "",
            row["path"] or "",
            row["file"] or "",
            row["line"] or 0,
            row["column"] or 0,
        )


def _preflight(
    plane: ControlPlane, manifest: Manifest, process: Process | None, how: ChangeOptions
) -> Iterator[Finding]:
    subject = change_preflight.EditSubject(manifest, manifest, node_checks.host_paths(plane.root, manifest))
    for finding in change_preflight.before_edit(plane, subject, process, how):
        if finding.check not in _SAID_ELSEWHERE:
            yield finding


def _recording(plane: ControlPlane, manifest: Manifest, evidence: Evidence) -> Recording:
    host = node_checks.host_of(plane.root, manifest, LOG_FLAG)
    policy_file = node_checks.host_of(plane.root, manifest, POLICY_FLAG)
    raw = files.read_regular(policy_file, "policy") if policy_file is not None and policy_file.is_file() else b""
    policy = load(raw, policy_source.version_of(plane, manifest, live=False)).policy if raw else None
    serving = evidence.process if evidence.as_manifest else None
    return Recording(
        manifest,
        policy,
        str(host) if host is not None else "",
        host is not None and host.exists(),
        serving.open_paths() if serving is not None else None,
        _free_bytes(host),
        evidence.container if serving is not None else None,
    )


def _free_bytes(log: Path | None) -> int | None:
    there = next((parent for parent in log.parents if parent.is_dir()), None) if log is not None else None
    if there is None:
        return None
    found = os.statvfs(there)
    return found.f_bavail * found.f_frsize


def _is_on(manifest: Manifest) -> bool:
    return bool(manifest.flag(POLICY_FLAG) and (manifest.flag(LOG_FLAG) or manifest.flag(WEBHOOK_FLAG)))


def _proof(plane: ControlPlane) -> tuple[Verification, Receipt | None, list[Finding]]:
    """A receipt, as ``verify`` takes it."""
    try:
        report = verify(plane, VerifyOptions())
    except AuditctlError as error:
        return Verification(), None, [Finding(error.check, Severity.WARNING, error.message, error.fix)]
    failed = [check for check in report.verification.checks if check.status is Status.FAILED]
    told = [Finding(check.name, Severity.ERROR, check.detail, "auditctl verify") for check in failed]
    return report.verification, report.receipt, told


def _rehearsed(plane: ControlPlane, manifest: Manifest, evidence: Evidence) -> Iterator[Finding]:
    """What the node's own server says of the audit set-up as it stands; last, for it takes seconds."""
    from auditctl.operations.evidence import trial_start

    if evidence.process is not None and _is_on(manifest):
        yield from trial_start.findings(plane, manifest, None, evidence.process)


def _last_good(plane: ControlPlane) -> Iterator[Finding]:
    """What auditctl could put back."""
    from auditctl.node.change.journal import Role

    path = plane.state.last_good_of(Role.POLICY)
    with suppress(OSError):
        if path.is_file() and last_known_good.recall(plane, Role.POLICY) is not None:
            yield Finding("last-known-good", Severity.INFO, f"the last policy that was proved on this node: {path}")


def _once(found: list[Finding]) -> tuple[Finding, ...]:
    """The same complaint of two looks is told once, and so is one about the same place: the first has the better words."""
    seen: dict[tuple[str, str, str, int], Finding] = {}
    places: set[tuple[str, int, int]] = set()
    for finding in found:
        place = (finding.file, finding.line, finding.column)
        if finding.line and finding.severity is Severity.ERROR:
            if place in places:
                continue
            places.add(place)
        seen.setdefault((finding.check, finding.message, finding.file, finding.line), finding)
    return tuple(seen.values())
