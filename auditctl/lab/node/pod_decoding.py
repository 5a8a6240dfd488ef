"""A manifest's tree as the API's types take it: unknown fields dropped, wrong types refused in Go's words.

The kubelet decodes leniently (pkg/kubelet/config/common.go tryDecodeSinglePod).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

from auditctl.errors import AuditctlError

Fields = Mapping[str, Any]

# What the API knows (staging/src/k8s.io/api/core/v1/types.go); all else in a manifest is dropped without a word.
_METADATA = ("name", "namespace", "uid", "labels", "annotations", "finalizers", "ownerReferences", "generateName")
_SPEC_NAMES = """
    activeDeadlineSeconds affinity automountServiceAccountToken containers dnsConfig dnsPolicy enableServiceLinks
    ephemeralContainers hostAliases hostIPC hostNetwork hostPID hostUsers hostname imagePullSecrets initContainers
    nodeName nodeSelector os overhead preemptionPolicy priority priorityClassName readinessGates resources
    restartPolicy runtimeClassName schedulerName securityContext serviceAccount serviceAccountName setHostnameAsFQDN
    shareProcessNamespace subdomain terminationGracePeriodSeconds tolerations volumes
"""
_SPEC = tuple(_SPEC_NAMES.split())
_CONTAINER_NAMES = """
    args command env envFrom image imagePullPolicy lifecycle livenessProbe name ports readinessProbe resizePolicy
    resources restartPolicy securityContext startupProbe stdin stdinOnce terminationMessagePath
    terminationMessagePolicy tty volumeDevices volumeMounts workingDir
"""
_CONTAINER = tuple(_CONTAINER_NAMES.split())
_MOUNT = ("mountPath", "mountPropagation", "name", "readOnly", "recursiveReadOnly", "subPath", "subPathExpr")
VOLUME_SOURCES = (  # of volumes, in the order of validateVolumeSource
    *("emptyDir", "hostPath", "gitRepo", "secret", "nfs", "iscsi", "persistentVolumeClaim", "configMap", "projected"),
    *("downwardAPI", "fc", "azureFile", "csi", "ephemeral", "image"),
)
_VOLUME = ("name", *VOLUME_SOURCES)
_HOST_PATH = ("path", "type")
# Written out or left to the API's default, the Pod is the same (pkg/apis/core/v1/defaults.go).
_SPEC_DEFAULTS: Fields = {
    "restartPolicy": "Always",
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
    "terminationGracePeriodSeconds": 30,
    "enableServiceLinks": True,
}
_CONTAINER_DEFAULTS: Fields = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "imagePullPolicy": "IfNotPresent",
}


class HostPathType(Enum):
    """`hostPath.type` (pkg/volume/hostpath/host_path.go)."""

    UNSET = ""
    DIRECTORY_OR_CREATE = "DirectoryOrCreate"
    DIRECTORY = "Directory"
    FILE_OR_CREATE = "FileOrCreate"
    FILE = "File"
    SOCKET = "Socket"
    CHARACTER_DEVICE = "CharDevice"
    BLOCK_DEVICE = "BlockDevice"


class InvalidPodError(AuditctlError):
    """The kubelet would not take this file; the message is its own."""


def expect_pod(tree: object) -> Fields:
    """Return the tree, if it says that it is a Pod. Raises InvalidPodError."""
    if tree is not None and not isinstance(tree, Mapping):
        go_type = r'struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }'
        reason = f"json: cannot unmarshal {_json_kind(tree)} into Go value of type {go_type}"
        raise InvalidPodError(f"couldn't get version/kind; json parse error: {reason}")
    for name, shown in (("kind", "Kind"), ("apiVersion", "apiVersion")):
        if tree is None or not tree.get(name):
            text = json.dumps(tree, default=str, separators=(",", ":"), sort_keys=True)
            raise InvalidPodError(f"Object '{shown}' is missing in '{text}'")
    assert tree is not None  # noqa: S101 - for the type checker: the loop has looked
    version, kind = tree["apiVersion"], tree["kind"]
    if (version, kind) != ("v1", "Pod"):
        scheme = "k8s.io/kubernetes/pkg/api/legacyscheme/scheme.go:30"
        raise InvalidPodError(f'no kind "{kind}" is registered for version "{version}" in scheme "{scheme}"')
    return tree


def known(tree: Fields) -> dict[str, Any]:
    """Return the Pod without unknown fields. Raises InvalidPodError where a type is wrong."""
    metadata = _pick(tree.get("metadata"), _METADATA, "v1.ObjectMeta", "Pod.metadata")
    _strings(metadata, ("name", "namespace", "uid"), "ObjectMeta.metadata")
    for name in ("labels", "annotations"):
        entries = _mapping(metadata.get(name), f"ObjectMeta.metadata.{name}", "map[string]string")
        _strings(entries, entries, f"ObjectMeta.metadata.{name}", one_field=True)
    spec = _pick(tree.get("spec"), _SPEC, "v1.PodSpec", "Pod.spec")
    containers = _list(spec.get("containers"), "PodSpec.spec.containers", "[]v1.Container")
    spec["containers"] = [_known_container(each) for each in containers]
    volumes = _list(spec.get("volumes"), "PodSpec.spec.volumes", "[]v1.Volume")
    spec["volumes"] = [_known_volume(each) for each in volumes]
    return {"metadata": metadata, "spec": spec}


def _known_container(tree: object) -> dict[str, Any]:
    container = _pick(tree, _CONTAINER, "v1.Container", "PodSpec.spec.containers")
    _strings(container, ("name", "image"), "Container.spec.containers")
    for name in ("command", "args"):
        place = f"Container.spec.containers.{name}"
        words = dict(enumerate(_list(container.get(name), place, "[]string")))
        _strings(words, words, place, one_field=True)
    place = "Container.spec.containers.volumeMounts"
    mounts = _list(container.get("volumeMounts"), place, "[]v1.VolumeMount")
    container["volumeMounts"] = [_pick(each, _MOUNT, "v1.VolumeMount", place) for each in mounts]
    for mount in container["volumeMounts"]:
        _strings(mount, ("name", "mountPath", "subPath"), place)
    return container


def _known_volume(tree: object) -> dict[str, Any]:
    volume = _pick(tree, _VOLUME, "v1.Volume", "PodSpec.spec.volumes")
    _strings(volume, ("name",), "Volume.spec.volumes")
    if not set(volume) & set(VOLUME_SOURCES):
        volume["emptyDir"] = {}  # pkg/apis/core/v1/defaults.go SetDefaults_Volume
    if "hostPath" in volume:
        place = "HostPathVolumeSource.spec.volumes.hostPath"
        volume["hostPath"] = _pick(volume["hostPath"], _HOST_PATH, "v1.HostPathVolumeSource", place)
        _strings(volume["hostPath"], _HOST_PATH, place)
    return volume


def without_defaults(pod: Fields) -> dict[str, Any]:
    """Return the Pod without what the API's defaults say anyway: two texts of one Pod become equal."""
    spec = _less(pod["spec"], _SPEC_DEFAULTS)
    spec["containers"] = [_less(each, _CONTAINER_DEFAULTS) for each in spec["containers"]]
    for container in spec["containers"]:
        container["volumeMounts"] = [_less(each, {"readOnly": False}) for each in container["volumeMounts"]]
    spec["volumes"] = [
        {**each, "hostPath": _less(each["hostPath"], {"type": ""})} if "hostPath" in each else each
        for each in spec["volumes"]
    ]
    return {"metadata": pod["metadata"], "spec": spec}


def _less(tree: Fields, defaults: Fields) -> dict[str, Any]:
    return {name: value for name, value in tree.items() if name not in defaults or defaults[name] != value}


def _pick(tree: object, names: Sequence[str], kind: str, place: str) -> dict[str, Any]:
    fields = _mapping(tree, place, kind)
    return {name: fields[name] for name in names if fields.get(name) is not None}


def _mapping(tree: object, place: str, kind: str) -> Fields:
    if tree is not None and not isinstance(tree, Mapping):
        raise InvalidPodError(f"json: cannot unmarshal {_json_kind(tree)} into Go struct field {place} of type {kind}")
    return tree or {}


def _list(tree: object, place: str, kind: str) -> list[Any]:
    if tree is not None and not isinstance(tree, list):
        raise InvalidPodError(f"json: cannot unmarshal {_json_kind(tree)} into Go struct field {place} of type {kind}")
    return tree or []


def _strings(fields: Mapping[Any, Any], names: Iterable[Any], place: str, *, one_field: bool = False) -> None:
    for name in names:
        value, where = fields.get(name), place if one_field else f"{place}.{name}"
        if value is not None and not isinstance(value, str):
            kind = _json_kind(value)
            raise InvalidPodError(f"json: cannot unmarshal {kind} into Go struct field {where} of type string")


def _json_kind(value: object) -> str:
    kinds: dict[type, str] = {bool: "bool", int: "number", float: "number", str: "string", list: "array"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), "object")
