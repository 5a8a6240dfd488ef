"""Objects that outlive a server and that the labs of one cluster share: Leases, Nodes and mirror Pods, in one file.

A mirror Pod is the Pod as the manifest has it, with an annotation more (pkg/kubelet/pod/mirror_client.go CreateMirrorPod).

Every request is answered under a lock of that file, so that two servers never write one version twice, as etcd has it.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from auditctl.node.change import files

Key = tuple[str, str, str, str]  # group, resource, namespace, name
_LEASES = ("coordination.k8s.io", "leases")
_OF_THE_CLUSTER = (("", "nodes"), ("", "pods"))


class SharedObjects(NamedTuple):
    """The file (a link leads to the cluster's), which is not there until the first Lease is written."""

    path: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the file's lock."""
        path = Path(os.path.realpath(self.path))
        descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def read_into(self, kept: dict[Key, dict[str, Any]], revision: int) -> int:
        """Put the file's objects in the place of those that are kept; return the newer revision of the two.

        Nodes and Pods are the cluster's where the file has some, else this server's own.
        """
        try:
            content = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            return revision
        rows = [(_key(row["key"]), row["object"]) for row in content["objects"]]
        for kind in (_LEASES, *(kind for kind in _OF_THE_CLUSTER if any(key[:2] == kind for key, _ in rows))):
            for key in [key for key in kept if key[:2] == kind]:
                del kept[key]
        kept.update(rows)
        return max(revision, int(content["revision"]))

    def write(self, kept: Mapping[Key, Mapping[str, Any]], revision: int) -> None:
        """Write them: Leases always; Nodes and Pods where they are a cluster's."""
        has_cluster = sum(key[:2] == ("", "nodes") for key in kept) > 1
        kinds = (_LEASES, *(_OF_THE_CLUSTER if has_cluster else ()))
        rows = [{"key": "/".join(key), "object": made} for key, made in kept.items() if key[:2] in kinds]
        if not rows and not self.path.exists():
            return
        content = json.dumps({"revision": revision, "objects": rows}, indent=1)
        files.replace_file(Path(os.path.realpath(self.path)), content.encode(), None)


def _key(text: str) -> Key:
    group, resource, namespace, name = text.split("/")
    return group, resource, namespace, name


_LABELS = {"component": "kube-apiserver", "tier": "control-plane"}
_NAME = "kube-apiserver"
_ADDRESS = "--advertise-address="


def mirror_pod(pod: Mapping[str, Any], command: Sequence[str], node: str) -> dict[str, Any]:
    """Return the object: the static Pod ``pod`` with the ``command`` line that runs, on ``node``, ready since now."""
    metadata, spec = dict(pod.get("metadata") or {}), dict(pod.get("spec") or {})
    metadata |= {"name": f"{_NAME}-{node}", "labels": {**_LABELS, **(metadata.get("labels") or {})}}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), "kubernetes.io/config.mirror": "stand-in"}
    first, *others = spec.get("containers") or [{"name": _NAME}]
    spec |= {"nodeName": node, "containers": [{**first, "command": [_NAME, *command]}, *others]}
    address = next((word.removeprefix(_ADDRESS) for word in command if word.startswith(_ADDRESS)), "127.0.0.1")
    started = {"startedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    status = {
        "phase": "Running",
        "hostIP": address,
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [
            {
                "name": _NAME,
                "image": str(first.get("image") or ""),
                "imageID": "",
                "ready": True,
                "restartCount": 0,
                "state": {"running": started},
            }
        ],
    }
    return {"metadata": metadata, "spec": spec, "status": status}
