"""``status``: is the API server ready, are requests recorded, with which policy, where; and what is not as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from auditctl.errors import AuditctlError, RefusedError
from auditctl.findings import Finding, Severity
from auditctl.manifest.pod import Manifest
from auditctl.node.kubelet.diagnosis import ServerState
from auditctl.node.preflight import mounts
from auditctl.operations import flags, policy_source, status_rows
from auditctl.operations.change.report import settled
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.doctor import manifest as doctor_manifest
from auditctl.operations.doctor import stray
from auditctl.operations.evidence import auditing, counters
from auditctl.operations.evidence.auditing import AuditingState
from auditctl.operations.evidence.node_state import server_findings
from auditctl.operations.installed_policy import not_loaded, policy_findings
from auditctl.operations.records import change_findings
from auditctl.operations.status_evidence import StatusEvidence, collect_status
from auditctl.report import ManifestChange, Outcome, Report, error_finding
from auditctl.settings import POLICY_FLAG


def status(plane: ControlPlane, memory: counters.Memory | None = None) -> Report:
    """Return the state of the node; nothing is changed. With a ``memory`` of the look before, rates are shown as well.

    Raises:
        RefusedError: the node's root is not there.
    """
    plane.require_root()
    evidence = collect_status(plane)
    before = memory.before(evidence.counters, plane.clock.monotonic()) if memory and evidence.counters else None
    findings = tuple(_findings(plane, evidence))
    bad = [finding for finding in findings if finding.severity is not Severity.INFO]
    well = not bad and evidence.auditing.state in (AuditingState.RECORDING, AuditingState.OFF)
    snapshot = evidence.node.snapshot
    digest = snapshot.sha256 if snapshot is not None else None
    return Report(
        command="status",
        outcome=Outcome.UNCHANGED if well else Outcome.NEGATIVE,
        summary=status_rows.headline(evidence, bad),
        manifest=ManifestChange(path=str(plane.manifest_path), before=digest, after=digest),
        settings=_settled(plane, evidence.manifest),
        findings=findings,
        lines=tuple(status_rows.lines(plane, evidence, before)),
        next_steps=_next_steps(evidence, bad),
        details={"status": status_rows.details(plane, evidence)},
        lines_first=True,
    )


def _settled(plane: ControlPlane, manifest: Manifest | None) -> Any:
    """Return what the manifest sets, with defaults; None where it or its mounts cannot be read."""
    if manifest is None:
        return None
    with suppress(RefusedError):
        version = policy_source.version_of(plane, manifest, live=False)
        return settled(plane, manifest)._replace(effective=flags.effective(manifest, version))
    return None


def _findings(plane: ControlPlane, evidence: StatusEvidence) -> Iterator[Finding]:
    """Yield what is wrong, the cause before its consequences; of complaints about one place, or in the same words, the first."""
    places: set[tuple[str, int, str]] = set()
    for finding in _all_findings(plane, evidence):
        place = (finding.file, finding.line, "") if finding.line else ("", 0, finding.message)
        if place not in places:
            places.add(place)
            yield finding


def _all_findings(plane: ControlPlane, evidence: StatusEvidence) -> Iterator[Finding]:
    node, manifest = evidence.node, evidence.manifest
    if node.unread is not None:
        yield from doctor_manifest.findings(plane, node.unread)
    if node.unread is None or node.diagnosis.crash is not None:
        yield from server_findings(plane, node.diagnosis, node.manifest)
    if manifest is not None:
        try:
            yield from stray.findings(plane, manifest, node.evidence.process)
            yield from evidence.auditing.findings
            yield from _audit_files(plane, manifest, evidence)
        except AuditctlError as error:
            yield error_finding(error)
        except OSError as error:
            text = f"{error.filename}: could not be read: {(error.strerror or str(error)).lower()}"
            yield Finding.warning("unreadable", text, "run it as root (sudo)")
    if evidence.auditing.state is AuditingState.NOT_RECORDING and node.diagnosis.state is ServerState.SERVING:
        known = {finding.message for finding in evidence.auditing.findings}
        if evidence.auditing.reason not in known:
            fix = evidence.auditing.fix
            yield Finding.error("not-recording", f"nothing is recorded: {evidence.auditing.reason}", fix)
    try:
        yield from change_findings(plane)
    except RefusedError as error:
        yield Finding.warning(error.check, error.message, error.fix)
    if evidence.counters is not None and manifest is not None:
        yield from counters.findings(evidence.counters, enabled=auditing.is_on(manifest))
    if evidence.kept is False:
        text = f"{evidence.kept_text} from the ConfigMap kubeadm-config: kubeadm upgrade would change them back"
        yield Finding.warning("kubeadm-config", text, "auditctl kubeadm persist")


def _audit_files(plane: ControlPlane, manifest: Manifest, evidence: StatusEvidence) -> Iterator[Finding]:
    """Yield what is wrong with the policy on disk and with the places of the audit files."""
    version = policy_source.version_of(plane, manifest, live=False)
    for finding in flags.findings(manifest, version, manifest):
        if finding.severity is Severity.ERROR:
            yield replace(finding, file=str(plane.manifest_path) if finding.line else "")
    policy, running = evidence.policy, evidence.node.evidence.process
    if policy is not None and not policy.is_file():
        state = "a directory" if policy.is_dir() else "not there"
        text = f"{policy}, for --{POLICY_FLAG}, is {state}: the API server would not start again"
        yield Finding.error("policy-missing", text, "auditctl enable --policy baseline", file=str(policy))
    elif policy is not None:
        yield from auditing.weighty(tuple(policy_findings(plane, policy)))
        if running is not None:
            yield from not_loaded(policy, evidence.policy_digest, evidence.loaded_digest)
    yield from auditing.weighty(tuple(mounts.audit_paths(plane.root, manifest, {})))


def _next_steps(evidence: StatusEvidence, bad: list[Finding]) -> tuple[str, ...]:
    first = next((finding.fix for finding in bad if finding.fix), "")
    if first:
        return (first,)
    if evidence.auditing.state is AuditingState.OFF:
        return ("auditctl enable",)
    if evidence.auditing.state is AuditingState.RECORDING and not bad:
        return ()
    return (evidence.auditing.fix or "auditctl doctor",)
