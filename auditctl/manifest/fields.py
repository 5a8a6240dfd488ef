"""Typed reading of a Pod's fields from the document's plain value; a wrong type is refused with its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditctl.errors import ManifestError
from auditctl.manifest.document import Document
from auditctl.manifest.paths import Mount, Volume, normalised_path

Path = tuple[str | int, ...]


def require(condition: bool, problem: str, document: Document, path: Path) -> None:  # noqa: FBT001 - reads as a sentence
    """Raise ManifestError with ``problem`` and the place of ``path`` unless ``condition`` holds."""
    if not condition:
        raise ManifestError(problem, place=document.place(path))


def value_at(document: Document, path: Path) -> object:
    """Return the plain value at ``path``, None where there is none. Raises ManifestError where a step leads nowhere."""
    value: object = document.value
    for depth, step in enumerate(path):
        match value, step:
            case dict(), str():
                value = value.get(step)
            case list(), int():
                value = value[step]
            case None, _:
                return None
            case _:
                raise ManifestError(f"{written(path[:depth])} has the wrong type", place=document.place(path[:depth]))
    return value


def written(path: Path) -> str:
    """Return a path as Kubernetes writes it: ``spec.containers[0].command``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def mapping(document: Document, path: Path) -> Mapping[str, Any]:
    """Return the mapping at ``path``; an empty one where there is none. Raises ManifestError for another type."""
    value = value_at(document, path)
    require(value is None or isinstance(value, dict), f"{written(path)} is not a mapping", document, path)
    return value if isinstance(value, dict) else {}


def sequence(document: Document, path: Path) -> list[Any]:
    """Return the list at ``path``; an empty one where there is none. Raises ManifestError for another type."""
    value = value_at(document, path)
    require(value is None or isinstance(value, list), f"{written(path)} is not a list", document, path)
    return value if isinstance(value, list) else []


def string(document: Document, path: Path) -> str:
    """Return the string at ``path``; an empty one where there is none. Raises ManifestError for another type."""
    value = value_at(document, path)
    require(value is None or isinstance(value, str), f"{written(path)} is not a string", document, path)
    return value if isinstance(value, str) else ""


def strings(document: Document, path: Path) -> list[str]:
    """Return the list of strings at ``path``. Raises ManifestError for an item that is none: the kubelet would too."""
    items = sequence(document, path)
    for index, item in enumerate(items):
        require(isinstance(item, str), f"{written((*path, index))} is not a string: quote it", document, (*path, index))
    return items


def mounts(document: Document, path: Path) -> tuple[Mount, ...]:
    """Return the mounts at ``path``. Raises ManifestError for one without name or mountPath."""
    mounts_read = []
    for index in range(len(sequence(document, path))):
        here = (*path, index)
        entry = mapping(document, here)
        name, mount_path = string(document, (*here, "name")), string(document, (*here, "mountPath"))
        require(bool(name and mount_path), f"{written(here)} lacks name or mountPath", document, here)
        sub_path = string(document, (*here, "subPath")) or string(document, (*here, "subPathExpr"))
        mounts_read.append(Mount(name, index, normalised_path(mount_path), entry.get("readOnly") is True, sub_path))
    return tuple(mounts_read)


def volumes(document: Document) -> tuple[Volume, ...]:
    """Return the volumes of the Pod. Raises ManifestError for a hostPath without a path."""
    volumes_read = []
    for index in range(len(sequence(document, ("spec", "volumes")))):
        here = ("spec", "volumes", index)
        entry = mapping(document, here)
        name = string(document, (*here, "name"))  # one without a name is the kubelet's to refuse, and never ours
        if entry.get("hostPath") is None:
            volumes_read.append(Volume(name, index, None))
            continue
        path = string(document, (*here, "hostPath", "path"))
        require(bool(path), f"{written(here)}.hostPath lacks a path", document, here)
        volumes_read.append(Volume(name, index, normalised_path(path), string(document, (*here, "hostPath", "type"))))
    return tuple(volumes_read)
