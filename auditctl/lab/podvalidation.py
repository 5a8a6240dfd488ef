"""What the API's validation says of a Pod, as far as an edit of a manifest can cause it.

Source: pkg/apis/core/validation/validation.go ValidatePodCreate, ValidateVolumes, ValidateVolumeMounts.
"""

from __future__ import annotations

from collections.abc import Iterator

from auditctl.lab.podfields import Fields, HostPathType


def validate(pod: Fields) -> Iterator[str]:
    """The complaints that an edit of ours could cause (pkg/apis/core/validation/validation.go), in the API's order."""
    if not pod["metadata"].get("name"):
        yield "metadata.name: Required value: name or generateName is required"
    volumes = pod["spec"]["volumes"]
    yield from _validate_volumes(volumes)
    if not pod["spec"]["containers"]:
        yield "spec.containers: Required value"
    names = {volume.get("name") for volume in volumes}
    for index, container in enumerate(pod["spec"]["containers"]):
        place = f"spec.containers[{index}]"
        for key in ("name", "image"):
            if not container.get(key):
                yield f"{place}.{key}: Required value"
        yield from _validate_mounts(container["volumeMounts"], names, f"{place}.volumeMounts")


def _validate_volumes(volumes: list[Fields]) -> Iterator[str]:
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        place, name, source = f"spec.volumes[{index}]", volume.get("name", ""), volume.get("hostPath")
        if source is None and "emptyDir" not in volume:
            yield f"{place}: Required value: must specify a volume type"
        if source is not None:
            yield from _validate_source(source, f"{place}.hostPath")
        if not name:
            yield f"{place}.name: Required value"
        elif name in seen:
            yield f'{place}.name: Duplicate value: "{name}"'
        seen.add(name)


def _validate_source(source: Fields, place: str) -> Iterator[str]:
    path, kinds = source.get("path", ""), sorted(kind.value for kind in HostPathType)
    if not path:
        yield f"{place}.path: Required value"
    elif ".." in path.split("/"):
        yield f"{place}.path: Invalid value: \"{path}\": must not contain '..'"
    if source.get("type", "") not in kinds:
        names = ", ".join(f'"{kind}"' for kind in kinds)
        yield f'{place}.type: Unsupported value: "{source["type"]}": supported values: {names}'


def _validate_mounts(mounts: list[Fields], volumes: set[str | None], place: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        name, path = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            yield f"{place}[{index}].name: Required value"
        elif name not in volumes:
            yield f'{place}[{index}].name: Not found: "{name}"'
        if not path:
            yield f"{place}[{index}].mountPath: Required value"
        elif path in seen:
            yield f'{place}[{index}].mountPath: Invalid value: "{path}": must be unique'
        seen.add(path)
