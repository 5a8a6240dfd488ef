"""``status``: is the API server ready, are requests recorded, with which policy, where; and what is not as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditctl.errors import AuditctlError, Place, RefusedError
from auditctl.findings import Finding, Severity
from auditctl.log.ends import LogEnds, read_ends
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.metrics import Counters
from auditctl.node.change import files
from auditctl.node.change.journal import Role
from auditctl.node.kubelet.diagnosis import ServerState
from auditctl.node.preflight import mounts, node_checks
from auditctl.operations import flags, policy_source
from auditctl.operations.change.report import settled
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.doctor import manifest as doctor_manifest
from auditctl.operations.doctor import stray
from auditctl.operations.evidence import auditing, counters, last_known_good
from auditctl.operations.evidence.auditing import Auditing, AuditingState
from auditctl.operations.evidence.node_state import NodeState, read_state, running_version, server_findings
from auditctl.operations.installed_policy import not_loaded, policy_findings
from auditctl.operations.records import Installation, change_findings, installed_by
from auditctl.report import ManifestChange, Outcome, Report
from auditctl.settings import LOG_FLAG, POLICY_FLAG


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusEvidence:
    """All that `status` shows. ``kept`` tells whether kubeadm upgrade keeps the settings (None: not known, see ``kept_text``)."""

    node: NodeState
    auditing: Auditing
    version: str = ""
    policy: Path | None = None
    policy_digest: str | None = None
    loaded_digest: str | None = None
    installation: Installation | None = None
    log: Path | None = None
    ends: LogEnds | None = None
    counters: Counters | None = None
    kept: bool | None = None
    kept_text: str = ""

    @property
    def manifest(self) -> Manifest | None:
        """Return the manifest's Pod, None where the manifest cannot be read."""
        return self.node.manifest


def status(plane: ControlPlane, memory: counters.Memory | None = None) -> Report:
    """Return the state of the node; nothing is changed. With a ``memory`` of the look before, rates are shown as well.

    Raises:
        RefusedError: the node's root is not there.
    """
    from auditctl.operations import status_rows

    if not plane.rootfs.is_dir():
        raise RefusedError(f"{plane.rootfs} is not a directory", check="rootfs", fix="correct --rootfs")
    evidence = _collect(plane)
    before = memory.before(evidence.counters, plane.clock.monotonic()) if memory and evidence.counters else None
    findings = tuple(_findings(plane, evidence))
    bad = [finding for finding in findings if finding.severity is not Severity.INFO]
    well = not bad and evidence.auditing.state in (AuditingState.RECORDING, AuditingState.OFF)
    snapshot = evidence.node.snapshot
    digest = snapshot.sha256 if snapshot is not None else None
    return Report(
        "status",
        Outcome.UNCHANGED if well else Outcome.NEGATIVE,
        status_rows.headline(evidence, bad),
        ManifestChange(str(plane.manifest_path), digest, digest),
        settings=_settled(plane, evidence.manifest),
        findings=findings,
        lines=tuple(status_rows.lines(plane, evidence, before)),
        next_steps=_next_steps(evidence, bad),
        details={"status": status_rows.details(plane, evidence)},
        lines_first=True,
    )


def _collect(plane: ControlPlane) -> StatusEvidence:
    """Read everything once, in the order from the manifest to the log."""
    node = read_state(plane)
    manifest, process = node.manifest, node.evidence.process
    if manifest is None:
        return StatusEvidence(node=node, auditing=auditing.look(plane, node, None, None))
    policy, log = (_host_of(plane, manifest, flag) for flag in (POLICY_FLAG, LOG_FLAG))
    ends = read_ends(log) if log is not None else None
    counted = counters.read(plane, manifest) if node.is_ready else None
    judged = auditing.look(plane, node, ends, counted)
    digest = files.digest(policy) if policy is not None else None
    loaded = last_known_good.loaded(plane, manifest, process)
    kept, kept_text = _kept(plane, node, manifest)
    return StatusEvidence(
        node=node,
        auditing=judged,
        version=running_version(plane, manifest) if node.is_ready else "",
        policy=policy,
        policy_digest=digest,
        loaded_digest=files.sha256(loaded) if loaded is not None else None,
        installation=installed_by(plane, Role.POLICY, digest),
        log=log,
        ends=read_ends(log) if log is not None and judged.receipt is not None else ends,
        counters=counted,
        kept=kept,
        kept_text=kept_text,
    )


def _host_of(plane: ControlPlane, manifest: Manifest, flag: str) -> Path | None:
    with suppress(RefusedError):
        return node_checks.host_of(plane.root, manifest, flag)
    return None


def _kept(plane: ControlPlane, node: NodeState, manifest: Manifest) -> tuple[bool | None, str]:
    """Tell whether kubeadm upgrade would keep the audit settings, and why that is not known."""
    if not node.is_ready:
        return None, "the API server cannot be asked"
    from auditctl.operations.kubeadm.config import differences_of

    try:
        differing = differences_of(plane, manifest, None, plainly=True)
    except AuditctlError as error:
        return None, error.message
    if not differing:
        return True, ""
    return False, f"{len(differing)} setting{'' if len(differing) == 1 else 's'}"


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
        yield from server_findings(node.diagnosis)
    if manifest is not None:
        try:
            yield from stray.findings(plane, manifest, node.evidence.process)
            yield from evidence.auditing.findings
            yield from _audit_files(plane, manifest, evidence)
        except AuditctlError as error:
            yield Finding(error.check, Severity.ERROR, error.message, error.fix, "", *(error.place or Place("")))
        except OSError as error:
            text = f"{error.filename}: could not be read: {(error.strerror or str(error)).lower()}"
            yield Finding("unreadable", Severity.WARNING, text, "run it as root (sudo)")
    if evidence.auditing.state is AuditingState.NOT_RECORDING and node.diagnosis.state is ServerState.SERVING:
        known = {finding.message for finding in evidence.auditing.findings}
        if evidence.auditing.reason not in known:
            fix = evidence.auditing.fix
            yield Finding("not-recording", Severity.ERROR, f"nothing is recorded: {evidence.auditing.reason}", fix)
    try:
        yield from change_findings(plane)
    except RefusedError as error:
        yield Finding(error.check, Severity.WARNING, error.message, error.fix)
    if evidence.counters is not None and manifest is not None:
        yield from counters.findings(evidence.counters, enabled=auditing.is_on(manifest))
    if evidence.kept is False:
        text = f"{evidence.kept_text} of this node differ from the ConfigMap kubeadm-config: kubeadm upgrade would change them back"
        yield Finding("kubeadm-config", Severity.WARNING, text, "auditctl kubeadm persist")


def _audit_files(plane: ControlPlane, manifest: Manifest, evidence: StatusEvidence) -> Iterator[Finding]:
    """Yield what is wrong with the policy on disk and with the places of the audit files."""
    version = policy_source.version_of(plane, manifest, live=False)
    for finding in flags.findings(manifest, version, manifest):
        if finding.severity is Severity.ERROR:
            yield finding._replace(file=str(plane.manifest_path) if finding.line else "")
    policy, running = evidence.policy, evidence.node.evidence.process
    if policy is not None and not policy.is_file():
        text = f"{policy}, for --{POLICY_FLAG}, is not there: the API server would not start again"
        yield Finding("policy-missing", Severity.ERROR, text, "auditctl enable --policy FILE", file=str(policy))
    elif policy is not None:
        yield from auditing.weighty(tuple(policy_findings(plane, policy)))
        if running is not None:
            yield from not_loaded(policy, evidence.policy_digest, evidence.loaded_digest)
    yield from auditing.weighty(tuple(mounts.audit_paths(plane.root, manifest, ())))


def _next_steps(evidence: StatusEvidence, bad: list[Finding]) -> tuple[str, ...]:
    first = next((finding.fix for finding in bad if finding.fix), "")
    if first:
        return (first,)
    if evidence.auditing.state is AuditingState.OFF:
        return ("auditctl enable",)
    if evidence.auditing.state is AuditingState.RECORDING and not bad:
        return ()
    return (evidence.auditing.fix or "auditctl doctor",)
