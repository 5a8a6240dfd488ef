"""The mirror Pod of the stand-in: what the API shows of the static Pod that runs.

Source: ``pkg/kubelet/pod/mirror_client.go`` CreateMirrorPod: the Pod as the manifest has it, with an annotation more.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

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
