"""What the API's validation says of a Pod, as far as an edit of a manifest can cause it.

Source: pkg/apis/core/validation/validation.go ValidatePodCreate, ValidateVolumes, ValidateVolumeMounts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from auditctl.lab.node.pod_decoding import VOLUME_SOURCES, Fields, HostPathType

# What a static Pod cannot have, since 1.34 (pkg/api/pod/util.go HasAPIObjectReference; gate PreventStaticPodAPIReferences)
_REFERENCES = {
    "secret": "secrets",
    "configMap": "configmaps",
    "persistentVolumeClaim": "persistentvolumeclaims",
    "ephemeral": "persistentvolumeclaims",
}
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


def reference(pod: Fields) -> str:
    """Return the first kind of API object that a volume refers to, which a static Pod must not; else empty."""
    sources = (source for volume in pod["spec"]["volumes"] for source in volume)
    return next((_REFERENCES[source] for source in sources if source in _REFERENCES), "")


def validate(pod: Fields) -> Iterator[str]:
    """Yield the complaints that an edit of ours could cause, in the API's order."""
    volumes = pod["spec"]["volumes"]
    names: set[str] = set()
    yield from _validate_volumes(volumes, names)
    if not pod["spec"]["containers"]:
        yield "spec.containers: Required value"
    for index, container in enumerate(pod["spec"]["containers"]):
        place = f"spec.containers[{index}]"
        for key in ("name", "image"):
            if not container.get(key):
                yield f"{place}.{key}: Required value"
        yield from _validate_mounts(container["volumeMounts"], names, f"{place}.volumeMounts")


def _validate_volumes(volumes: list[Fields], valid: set[str]) -> Iterator[str]:
    """Yield the faults of volumes; add the names of the good ones to ``valid``."""
    for index, volume in enumerate(volumes):
        errors = list(_validate_volume(volume, valid, f"spec.volumes[{index}]"))
        yield from errors
        if not errors:
            valid.add(volume["name"])


def _validate_volume(volume: Fields, taken: set[str], place: str) -> Iterator[str]:
    name, sources = volume.get("name", ""), [source for source in VOLUME_SOURCES if source in volume]
    for source in sources[1:]:
        yield f"{place}.{source}: Forbidden: may not specify more than 1 volume type"
    if sources[:1] == ["hostPath"]:
        yield from _validate_source(volume["hostPath"], f"{place}.hostPath")
    if not name:
        yield f"{place}.name: Required value"
    elif len(name) > 63:
        yield f'{place}.name: Invalid value: "{name}": must be no more than 63 characters'
    elif not _LABEL.fullmatch(name):
        yield f'{place}.name: Invalid value: "{name}": {_LABEL_WORDS}'
    elif name in taken:
        yield f'{place}.name: Duplicate value: "{name}"'


def _validate_source(source: Fields, place: str) -> Iterator[str]:
    path, kinds = source.get("path", ""), sorted(kind.value for kind in HostPathType)
    if not path:
        yield f"{place}.path: Required value"
    elif ".." in path.split("/"):
        yield f"{place}.path: Invalid value: \"{path}\": must not contain '..'"
    if source.get("type", "") not in kinds:
        names = ", ".join(f'"{kind}"' for kind in kinds)
        yield f'{place}.type: Unsupported value: "{source["type"]}": supported values: {names}'


def _validate_mounts(mounts: list[Fields], volumes: set[str], place: str) -> Iterator[str]:
    taken: set[str] = set()
    for index, mount in enumerate(mounts):
        name, path = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            yield f"{place}[{index}].name: Required value"
        elif name not in volumes:
            yield f'{place}[{index}].name: Not found: "{name}"'
        if not path:
            yield f"{place}[{index}].mountPath: Required value"
        elif path in taken:
            yield f'{place}[{index}].mountPath: Invalid value: "{path}": must be unique'
        taken.add(path)
        inner = mount.get("subPath", "")
        if inner.startswith("/"):
            yield f'{place}.subPath: Invalid value: "{inner}": must be a relative path'
        elif ".." in inner.split("/"):
            yield f"{place}.subPath: Invalid value: \"{inner}\": must not contain '..'"
