"""Collect what the verdict rests on: processes, ports, the container's log, the kubelet's, and the user's own files."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import ManifestError, RefusedError
from auditctl.manifest.pod import DEFAULT_SECURE_PORT, Manifest
from auditctl.node.apiserver.client import Endpoint, Health, Readiness
from auditctl.node.apiserver.crash import Crash, weightiest
from auditctl.node.apiserver.credentials import Credentials
from auditctl.node.apiserver.process import Process, port_is_taken, server_on, untrusted_listener
from auditctl.node.change import files
from auditctl.node.change.files import Root
from auditctl.node.kubelet import kubelet_log, pod_logs
from auditctl.node.kubelet.diagnosis import Evidence
from auditctl.node.kubelet.diagnosis_attempts import Attempts
from auditctl.node.kubelet.diagnosis_place import SourceFile, Texts, placed
from auditctl.node.kubelet.kubelet_log import TAIL_BYTES, KubeletLog
from auditctl.node.kubelet.pod_logs import PodName
from auditctl.node.kubelet.running_kubelet import is_stopped
from auditctl.node.preflight import node_checks
from auditctl.patterns import lazily
from auditctl.settings import POLICY_FLAG, WEBHOOK_FLAG

_SECURE_PORT = lazily(rb"(?m)^[^#\n]*--secure-port=([0-9]{1,5})\b")


class EvidenceSources(NamedTuple):
    """Where to look. ``manifest`` is None where it cannot be read; ``endpoint`` None where it is not ours to ask."""

    root: Root
    manifest_path: Path
    manifest: Manifest | None
    endpoint: Endpoint | None
    credentials: Credentials


def collect(node: EvidenceSources) -> Evidence:
    """Look at everything once. Raises: nothing; what cannot be seen stays unknown."""
    manifest = node.manifest
    port = _port(node)
    process = server_on(node.root, port, manifest)
    changed = _changed(node.manifest_path)
    container, refusal, log = _words(node, changed)
    read = texts(node.root, node.manifest_path, manifest)
    as_manifest = process is not None and manifest is not None and process.runs(manifest.command)
    kubelet = kubelet_log.find(node.root)
    runs = kubelet is not None
    health = Health(Readiness.UNKNOWN)
    if process is not None and node.endpoint is not None:
        health = node.endpoint.health(node.credentials)
    return Evidence(
        port=port,
        taken=port_is_taken(port),
        process=process,
        as_manifest=as_manifest,
        is_older=process is not None and _started(process) < changed,
        stray="" if as_manifest or process is None else stray_of(node, manifest, process),
        readiness=health.readiness if process is not None else None,
        failing=health.failing,
        container=placed(container, read) if container is not None else None,
        kubelet=placed(refusal, read) if refusal is not None else None,
        kubelet_runs=runs,
        stopped_kubelet=kubelet.pid if kubelet is not None and is_stopped(kubelet.pid) else 0,
        kubelet_log=log,
        sees_all=os.geteuid() == 0 or not node.root.is_host,
        live=node.root.is_host or runs or process is not None,
        changed_seconds=max(0.0, time.time() - changed),
        has_manifest=os.path.lexists(node.manifest_path),
        untrusted=untrusted_listener(port, manifest) if process is None and node.root.is_host else None,
    )


def _port(node: EvidenceSources) -> int:
    """Return the port of the manifest; of one that cannot be read as a Pod the last ``--secure-port`` in its text."""
    with suppress(ManifestError):
        if node.manifest is not None:
            return node.manifest.secure_port
    named = _SECURE_PORT.findall(_read(node.root, node.manifest_path) or b"")
    return int(named[-1]) if named else DEFAULT_SECURE_PORT


def stray_of(node: EvidenceSources, manifest: Manifest | None, process: Process) -> str:
    """The manifest beside ours that the process was started from; empty where there is none."""
    if manifest is None:
        return ""
    for path in node_checks.strays(node.root, node.manifest_path, manifest):
        with suppress(RefusedError):
            if process.runs(read_stray(path).command):
                return str(path)
    return ""


def read_stray(path: Path) -> Manifest:
    """Read a manifest beside ours. Raises RefusedError."""
    from auditctl.manifest.document import Document

    return Manifest.of(Document.parse(files.read_regular(path, "manifest"), str(path)))


def _changed(manifest_path: Path) -> float:
    """When the manifest came to be as it is (a rename counts too), or went, wall-clock seconds; 0 where nobody can say."""
    for path in (manifest_path, manifest_path.parent):
        with suppress(OSError):
            return path.stat().st_ctime
    return 0.0


def _words(node: EvidenceSources, changed: float) -> tuple[Crash | None, Crash | None, str]:
    """What the container and the kubelet said since the manifest's last change, and where the kubelet's log is."""
    pod = PodName.of(node.manifest)
    attempts = Attempts(node.root, pod, _older(pod_logs.logs_of(node.root, pod), changed))
    log = KubeletLog.begin(node.root, node.root.node(node.manifest_path), pod, since=changed, tail_bytes=TAIL_BYTES)
    return attempts.look(), weightiest(log.look()), log.source


def _started(process: Process) -> float:
    """Wall-clock seconds."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + process.started


def _older(logs: Sequence[pod_logs.ContainerLog], changed: float) -> frozenset[tuple[str, int, int]]:
    """Starts from before the manifest's last change; the old server writes on while it ends."""
    return frozenset(log.identity for log in logs if pod_logs.began(log) < changed)


def texts(root: Root, manifest_path: Path, manifest: Manifest | None) -> Texts:
    """The user's files as they lie on this machine."""
    return Texts(
        SourceFile(str(manifest_path), _read(root, manifest_path)),
        _named_by(root, manifest, POLICY_FLAG),
        _named_by(root, manifest, WEBHOOK_FLAG),
        manifest,
    )


def _named_by(root: Root, manifest: Manifest | None, flag: str) -> SourceFile | None:
    with suppress(RefusedError):
        path = node_checks.host_of(root, manifest, flag) if manifest is not None else None
        return SourceFile(str(path), _read(root, path)) if path is not None else None
    return None


def _read(root: Root, path: Path) -> bytes | None:
    try:
        return files.read_regular(path, "file") if root.holds(path) else None
    except (RefusedError, OSError):
        return None
