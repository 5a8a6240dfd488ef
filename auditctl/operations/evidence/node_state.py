"""What a node shows of its API server and its auditing, read once: the evidence of `status`, `doctor` and `verify`."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from auditctl.errors import AuditctlError, Place, RefusedError
from auditctl.findings import Finding, Severity
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.credentials import NOBODY
from auditctl.node.change import files
from auditctl.node.change.files import Snapshot
from auditctl.node.kubelet import diagnosis
from auditctl.node.kubelet.diagnosis import Diagnosis, Evidence, ServerState
from auditctl.node.kubelet.diagnosis_evidence import EvidenceSources, collect
from auditctl.node.kubelet.diagnosis_recording import Recording
from auditctl.node.preflight import node_checks
from auditctl.operations import policy_source
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence import last_known_good
from auditctl.policy.load import load
from auditctl.settings import LOG_FLAG, POLICY_FLAG

# states that time may end, or that cannot be seen: no fault yet
_MILD = frozenset([ServerState.STARTING, ServerState.UNSEEN])


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """The manifest as it stands, and what runs. ``manifest`` None: it cannot be read, and ``unread`` says why."""

    evidence: Evidence
    diagnosis: Diagnosis
    snapshot: Snapshot | None = None
    manifest: Manifest | None = None
    unread: AuditctlError | None = None

    @property
    def is_ready(self) -> bool:
        """Tell whether the manifest's own server is known to be ready."""
        judged = self.diagnosis
        return judged.state is ServerState.SERVING and judged.certain and self.evidence.process is not None


def read_state(plane: ControlPlane) -> NodeState:
    """Look at the manifest, the processes and the logs of this node; nothing is changed, nothing is raised."""
    snapshot, manifest, unread = None, None, None
    try:
        snapshot, manifest = plane.read_manifest()
        _ = manifest.secure_port
    except AuditctlError as error:
        snapshot, manifest, unread = None, None, error
    endpoint, credentials = None, NOBODY
    with suppress(RefusedError):
        endpoint = plane.endpoint(manifest) if manifest is not None else None
    with suppress(RefusedError):
        credentials = plane.credentials()
    evidence = collect(EvidenceSources(plane.root, plane.manifest_path, manifest, endpoint, credentials))
    return NodeState(
        evidence=evidence,
        diagnosis=diagnosis.judge(evidence),
        snapshot=snapshot,
        manifest=manifest,
        unread=unread,
    )


def server_findings(plane: ControlPlane, judged: Diagnosis, manifest: Manifest | None) -> tuple[Finding, ...]:
    """Return the diagnosis as a finding; none where the server is known to be ready.

    Where an audit file of ``manifest`` is missing, the fix is the command that installs it.
    """
    if judged.state is ServerState.SERVING and judged.certain:
        return ()
    severity = Severity.WARNING if judged.state in {ServerState.SERVING, *_MILD} else Severity.ERROR
    guessed = not judged.certain and judged.state is not ServerState.UNSEEN
    text = f"probably: {judged.message}" if guessed else judged.message
    command = ""
    if manifest is not None:
        command = node_checks.command_for(plane.root, manifest, text, last_known_good.proved_policy(plane))
    place = (judged.crash.place if judged.crash is not None else None) or Place("")
    return (
        Finding(
            check=judged.check,
            severity=severity,
            message=text,
            fix=command or judged.fix,
            file=place.file,
            line=place.line,
            column=place.column,
        ),
    )


def recording_of(plane: ControlPlane, manifest: Manifest, evidence: Evidence) -> Recording:
    """Return what decides whether events reach the log.

    Raises:
        RefusedError: a path leads out of the node's root, or the policy may not be read.
    """
    host = node_checks.host_of(plane.root, manifest, LOG_FLAG)
    policy_file = node_checks.host_of(plane.root, manifest, POLICY_FLAG)
    raw = files.read_regular(policy_file, "policy") if policy_file is not None and policy_file.is_file() else b""
    policy = load(raw, policy_source.version_of(plane, manifest, live=False)).policy if raw else None
    running = evidence.process if evidence.as_manifest else None
    return Recording(
        manifest=manifest,
        policy=policy,
        host_log=str(host) if host is not None else "",
        log_there=host is not None and host.exists(),
        open_files=running.open_paths() if running is not None else None,
        free_bytes=_free_bytes(host),
        said=evidence.container if running is not None else None,
        older_log=_older_log(plane, manifest, host),
    )


def _free_bytes(log: Path | None) -> int | None:
    there = next((parent for parent in log.parents if parent.is_dir()), None) if log is not None else None
    if there is None:
        return None
    file_system = os.statvfs(there)
    return file_system.f_bavail * file_system.f_frsize


def _older_log(plane: ControlPlane, manifest: Manifest, host: Path | None) -> str:
    """Return a log on this machine that looks like the audit log, and into which the API server does not write.

    It lies where the flag's path would lead without the mounts, or (for standard output) on a mount called audit.
    """
    value = manifest.flag(LOG_FLAG) or ""
    places = [value] if value.startswith("/") else []
    if value == "-":
        volumes = {volume.name: volume.host_path for volume in manifest.volumes}
        folders = (
            volumes.get(mount.name) for mount in manifest.mounts if "audit" in mount.name and not mount.read_only
        )
        places = [f"{folder}/audit.log" for folder in folders if folder]
    for place in places:
        with suppress(RefusedError):
            path = node_checks.inside(plane.root, plane.root.host(place))
            if path.is_file() and path != host:
                return str(path)
    return ""


def running_version(plane: ControlPlane, manifest: Manifest) -> str:
    """Return the version that the running server gives (``v1.36.2``); empty where it gives none to anonymous clients."""
    with suppress(RefusedError, ValueError):
        answer = json.loads(plane.endpoint(manifest).request("GET", "/version").body)
        return str(answer.get("gitVersion") or "") if isinstance(answer, dict) else ""
    return ""
