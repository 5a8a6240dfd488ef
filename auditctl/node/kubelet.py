"""What the kubelet leaves on disk: container logs under /var/log/pods, and other manifests beside ours."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import ManifestError, RefusedError
from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest
from auditctl.node import files
from auditctl.node.files import Root

POD_LOGS = (
    "/var/log/pods"  # pkg/kubelet/kuberuntime/helpers.go BuildPodLogsDirectory: NAMESPACE_NAME_UID/CONTAINER/N.log
)
_TAIL_BYTES = 64 * 1024


class ContainerLog(NamedTuple):
    """One container log file and what it is told apart by."""

    path: Path
    modified: float


def container_logs(root: Root, manifest: Manifest) -> list[ContainerLog]:
    """Every log of the manifest's container, of any Pod that the kubelet made from it, oldest first."""
    pattern = f"{manifest.namespace}_{manifest.pod_name}-*/{manifest.container_name}/*.log"
    found = []
    for path in root.host(POD_LOGS).glob(pattern):
        with suppress(OSError):
            found.append(ContainerLog(path, path.stat().st_mtime))
    return sorted(found, key=lambda log: (log.modified, log.path.name))


def last_lines(path: Path) -> list[str]:
    """The end of a container log, without the runtime's own prefix (``TIME STREAM F``)."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [_unwrapped(line) for line in text.splitlines() if line.strip()]


def strays(manifest_path: Path, manifest: Manifest) -> list[Path]:
    """Other files in the manifest directory that define the same Pod: of equal names the last in byte order wins.

    (pkg/kubelet/config/file.go extractFromDir; a copy named ``kube-apiserver.yaml.bak`` silently rules.)
    """
    found = []
    for path in sorted(manifest_path.parent.glob("[!.]*")):
        if path.name == manifest_path.name or not path.is_file():
            continue
        with suppress(RefusedError):
            raw = files.read_following(path, "manifest")
            if manifest.pod_name.encode() in raw and _same_pod(raw, path, manifest):
                found.append(path)
    return found


def _same_pod(raw: bytes, path: Path, manifest: Manifest) -> bool:
    try:
        value = Document.parse(raw, str(path)).value
    except ManifestError:
        return False
    metadata = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(metadata, dict):
        return False
    return (metadata.get("name"), metadata.get("namespace", "default")) == (manifest.pod_name, manifest.namespace)


def _unwrapped(line: str) -> str:
    words = line.split(" ", 3)
    return words[3] if len(words) == 4 and words[1] in ("stdout", "stderr") and words[2] in ("F", "P") else line
