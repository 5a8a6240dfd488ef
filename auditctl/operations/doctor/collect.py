"""Everything that ``doctor`` looks at, in the order in which a cause should be read; nothing is changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from auditctl.errors import AuditctlError
from auditctl.findings import Finding, Receipt, Severity, Status, Verification
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.process import Process
from auditctl.node.change import files
from auditctl.node.change.files import Snapshot
from auditctl.node.kubelet import diagnosis_recording
from auditctl.node.kubelet.diagnosis import Diagnosis, Evidence, ServerState
from auditctl.node.preflight import node_checks
from auditctl.operations import flags, policy_source
from auditctl.operations.change import preflight as change_preflight
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane, damaged
from auditctl.operations.doctor import manifest as doctor_manifest
from auditctl.operations.doctor import stray
from auditctl.operations.evidence import counters, last_known_good, trial_start
from auditctl.operations.evidence.auditing import is_on
from auditctl.operations.evidence.node_state import read_state, recording_of, server_findings
from auditctl.operations.installed_policy import not_loaded, policy_findings
from auditctl.operations.records import change_findings
from auditctl.operations.verify import VerifyOptions, verify
from auditctl.patterns import lazily
from auditctl.report import error_finding
from auditctl.settings import POLICY_FLAG

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
        "turn-held",  # a change of another node is no fault of this one
    ]
)
# what to do about a proof that failed where nothing else shows why: the next look is this very command
_RESTART = "auditctl restart  # if the next proof fails too, see the API server's log under /var/log/pods"
_FIXES = {
    "delivery": "check the receiver, and `server` in the webhook's kubeconfig",
    "events-lost": "df -h on the log's directory, and check the webhook's receiver",
}
_VOLUME = lazily(r"\bvolume [\w.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """All the evidence and its findings. ``manifest`` None: it is not there or cannot be read; logs and processes remain."""

    evidence: Evidence
    diagnosis: Diagnosis
    findings: tuple[Finding, ...]
    snapshot: Snapshot | None = None
    manifest: Manifest | None = None
    verification: Verification = Verification()
    receipt: Receipt | None = None


def look(plane: ControlPlane, options: ChangeOptions, *, proving: bool = True) -> Observations:
    """Look at all of it. ``proving``: ask the server for a receipt, and its own binary for its opinion.

    Raises: nothing of the node's state; what cannot be seen is a finding.
    """
    state = read_state(plane)
    evidence, judged, manifest = state.evidence, state.diagnosis, state.manifest
    unread = list(doctor_manifest.findings(plane, state.unread)) if state.unread is not None else []
    said = () if unread and judged.crash is None else server_findings(plane, judged, manifest)
    complaints = [*unread, *damaged(plane), *_unseen(plane, evidence), *said]
    verification, receipt = Verification(), None
    if manifest is not None:
        # of a folder that nobody runs, the live checks know nothing
        looked = _guarded(plane, manifest, evidence, options if evidence.live else replace(options, wait=False))
        complaints += (finding for finding in looked if not _is_said(finding, said))
        if proving and judged.state is ServerState.SERVING and evidence.process is not None and is_on(manifest):
            verification, receipt, more = _proof(plane)
            complaints += more
        complaints += _last_good(plane)
        if proving:
            complaints += _rehearsed(plane, manifest, evidence)
    return Observations(
        evidence=evidence,
        diagnosis=judged,
        findings=_once(complaints),
        snapshot=state.snapshot,
        manifest=manifest,
        verification=verification,
        receipt=receipt,
    )


def _unseen(plane: ControlPlane, evidence: Evidence) -> Iterator[Finding]:
    """Yield what this run could not look at, and why."""
    if os.geteuid() != 0 and plane.root.is_host:
        text = "not run as root: whose the port is, what the process has open, container logs and secrets were not seen"
        yield Finding.warning("not-root", text, "sudo auditctl doctor")
    if not evidence.kubelet_log and evidence.live:
        text = "the kubelet's own log was not found: neither a file behind its stderr nor a journal"
        yield Finding.note("kubelet-log", text)


def _is_said(finding: Finding, said: Collection[Finding]) -> bool:
    """Tell whether the kubelet said the same of this volume; one host path may have two names."""
    volume = _VOLUME.search(finding.message)
    same = (one for one in said if one.check == finding.check)
    return volume is not None and any(volume[0] in _VOLUME.findall(one.message) for one in same)


def _guarded(plane: ControlPlane, manifest: Manifest, evidence: Evidence, options: ChangeOptions) -> Iterator[Finding]:
    """Yield all findings about files; a file that may not be read is a finding, and does not end the run."""
    looks: tuple[Callable[[], list[Finding]], ...] = (
        lambda: list(stray.findings(plane, manifest, evidence.process)),
        lambda: list(_flags(plane, manifest)),
        lambda: list(_policy(plane, manifest, evidence)),
        lambda: list(_preflight(plane, manifest, evidence.process, options)),
        lambda: list(diagnosis_recording.judge(recording_of(plane, manifest, evidence))),
        lambda: list(change_findings(plane)),
        lambda: list(_counted(plane, manifest, evidence)),
    )
    for one in looks:
        try:
            yield from one()
        except AuditctlError as error:
            yield error_finding(error)
        except OSError as error:
            text = f"{error.filename}: could not be looked at: {(error.strerror or str(error)).lower()}"
            yield Finding.warning("unreadable", text, "run it as root (sudo)")


def _flags(plane: ControlPlane, manifest: Manifest) -> Iterator[Finding]:
    """Yield each value that the server would refuse or that means something else, at its line."""
    version = policy_source.version_of(plane, manifest, live=False)
    for finding in flags.findings(manifest, version, manifest):
        yield replace(finding, file=str(plane.manifest_path) if finding.line else "")


def _policy(plane: ControlPlane, manifest: Manifest, evidence: Evidence) -> Iterator[Finding]:
    """Yield what the next start of the server makes of the installed policy, and whether it is the loaded one."""
    host = node_checks.host_of(plane.root, manifest, POLICY_FLAG)
    if host is None or not host.is_file():
        return
    yield from policy_findings(plane, host)
    if evidence.process is not None and is_on(manifest):
        loaded = last_known_good.loaded(plane, manifest, evidence.process)
        yield from not_loaded(host, files.digest(host), files.sha256(loaded) if loaded is not None else None)


def _counted(plane: ControlPlane, manifest: Manifest, evidence: Evidence) -> Iterator[Finding]:
    """Yield what the server's own counters complain of."""
    counted = counters.read(plane, manifest) if evidence.as_manifest else None
    if counted is not None:
        yield from counters.findings(counted, enabled=is_on(manifest))


def _preflight(
    plane: ControlPlane, manifest: Manifest, process: Process | None, options: ChangeOptions
) -> Iterator[Finding]:
    paths = node_checks.host_paths(plane.root, manifest)
    subject = change_preflight.EditSubject(before=manifest, after=manifest, paths=paths)
    for finding in change_preflight.before_edit(plane, subject, process, options):
        if finding.check in _SAID_ELSEWHERE:
            continue
        if finding.fix == node_checks.SHIPPED_POLICY and (path := last_known_good.proved_policy(plane)) is not None:
            finding = replace(finding, fix=node_checks.last_policy_again(path))  # noqa: PLW2901
        yield finding


def _proof(plane: ControlPlane) -> tuple[Verification, Receipt | None, list[Finding]]:
    """Take a receipt, as ``verify`` does."""
    try:
        report = verify(plane, VerifyOptions())
    except AuditctlError as error:
        return (
            Verification(),
            None,
            [Finding.warning(error.check, error.message, error.fix)],
        )
    failed = [check for check in report.verification.checks if check.status is Status.FAILED]
    said = [Finding.error(check.name, check.detail, _FIXES.get(check.name, _RESTART)) for check in failed]
    return report.verification, report.receipt, said


def _rehearsed(plane: ControlPlane, manifest: Manifest, evidence: Evidence) -> Iterator[Finding]:
    """Yield what the node's own server says of the audit set-up as it is; last, because it takes seconds."""
    if evidence.process is not None and is_on(manifest):
        yield from trial_start.findings(plane, manifest, None, evidence.process)


def _last_good(plane: ControlPlane) -> Iterator[Finding]:
    """Yield a note about the policy that auditctl could put back."""
    path = last_known_good.proved_policy(plane)
    if path is not None:
        yield Finding.note("last-known-good", f"the last policy that was proved on this node: {path}")


def _once(complaints: list[Finding]) -> tuple[Finding, ...]:
    """Return each complaint once; of two about one place the first, which has the better words."""
    kept: dict[tuple[str, str, str, int], Finding] = {}
    places: set[tuple[str, int, int]] = set()
    for finding in complaints:
        place = (finding.file, finding.line, finding.column)
        if finding.line and finding.severity is Severity.ERROR:
            if place in places:
                continue
            places.add(place)
        kept.setdefault((finding.check, finding.message, finding.file, finding.line), finding)
    return tuple(kept.values())
