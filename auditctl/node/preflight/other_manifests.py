"""Other files in the manifest directory that define the API server's Pod as well."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from auditctl.errors import ManifestError, RefusedError
from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest
from auditctl.node.change import files
from auditctl.node.change.files import Root


def strays(root: Root, manifest_path: Path, manifest: Manifest) -> list[Path]:
    """Other files in the manifest directory that define the same Pod: of equal names the last in byte order wins.

    (pkg/kubelet/config/file.go extractFromDir; a copy named ``kube-apiserver.yaml.bak`` silently rules.)
    """
    others = []
    for path in sorted(manifest_path.parent.glob("[!.]*")):
        if path.name == manifest_path.name or not root.holds(path) or not path.is_file():
            continue
        with suppress(RefusedError):
            raw = files.read_regular(path, "manifest")
            if manifest.pod_name.encode() in raw and _same_pod(raw, path, manifest):
                others.append(path)
    return others


def _same_pod(raw: bytes, path: Path, manifest: Manifest) -> bool:
    try:
        value = Document.parse(raw, str(path)).value
    except ManifestError:
        return False
    metadata = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(metadata, dict):
        return False
    return (metadata.get("name"), metadata.get("namespace", "default")) == (manifest.pod_name, manifest.namespace)
