"""One manifest file as the kubelet decodes, checks and names it (pkg/kubelet/config/{file,common}.go).

Unknown fields vanish, as in the kubelet's lenient decoder; what is left is hashed into the Pod's UID.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

from auditctl.errors import AuditctlError
from auditctl.lab.node.layout import NODE_NAME
from auditctl.lab.node.pod_decoding import Fields, HostPathType, InvalidPodError, expect_pod, known, without_defaults
from auditctl.lab.node.pod_validation import reference, validate
from auditctl.lab.node.yaml_reader import read


@dataclass(frozen=True, slots=True)
class PodVolume:
    """A hostPath volume; ``path`` is a path of the node."""

    name: str
    path: str
    type: HostPathType


@dataclass(frozen=True, slots=True)
class ContainerMount:
    """Where a volume appears in the container."""

    volume: str
    container_path: str
    read_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticPod:
    """A Pod as the kubelet would run it. ``grace_seconds`` is None where the manifest does not say."""

    uid: str
    namespace: str
    name: str
    container: str
    command: tuple[str, ...]
    volumes: tuple[PodVolume, ...]
    mounts: tuple[ContainerMount, ...]
    grace_seconds: float | None
    kubernetes: str

    @property
    def key(self) -> str:
        """Return what two files of one Pod share: namespace and name, with the node's name appended."""
        return f"{self.namespace}/{self.name}"


def decode(raw: bytes, path: str) -> StaticPod:
    """Return the Pod in a manifest; ``path`` is the file's path on the node and part of the UID.

    Raises InvalidPodError with the kubelet's words.
    """
    try:
        pod = known(expect_pod(read(raw)))
    except AuditctlError as error:
        raise InvalidPodError(f"{path}: couldn't parse as pod({error.message}), please check config file") from error
    if not pod["metadata"].get("name"):
        raise InvalidPodError("invalid pod: name is needed for the pod")
    if errors := list(validate(pod)):
        raise InvalidPodError(f"invalid pod: [{' '.join(errors)}]")
    if kind := reference(pod):
        raise InvalidPodError(f"static pods may not reference {kind}")
    return _build(pod, path)


def _build(pod: Fields, path: str) -> StaticPod:
    metadata, spec, container = pod["metadata"], pod["spec"], pod["spec"]["containers"][0]
    version = re.search(r":v?(\d+\.\d+\.\d+)", container["image"])
    return StaticPod(
        uid=metadata.get("uid") or _hash(pod, path),
        namespace=metadata.get("namespace", "default"),
        name=f"{metadata['name']}-{NODE_NAME}",
        container=container["name"],
        command=(*container.get("command", ()), *container.get("args", ())),
        volumes=tuple(
            PodVolume(each["name"], each["hostPath"]["path"], HostPathType(each["hostPath"].get("type", "")))
            for each in spec["volumes"]
            if "hostPath" in each
        ),
        mounts=tuple(
            ContainerMount(each["name"], each["mountPath"], bool(each.get("readOnly")))
            for each in container["volumeMounts"]
        ),
        grace_seconds=spec.get("terminationGracePeriodSeconds"),
        kubernetes=version[1] if version else "1.36.2",
    )


def _hash(pod: Fields, path: str) -> str:
    """Return 32 hex digits, as many as the kubelet's (FNV-128a of a Go dump, md5 up to 1.33, is not reproducible)."""
    text = json.dumps(without_defaults(pod), sort_keys=True, default=str) + f"host:{NODE_NAME}file:{path}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
