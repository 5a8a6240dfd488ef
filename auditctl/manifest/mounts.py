"""Volumes and mounts of a Pod, and the way from a container path to a host path."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import NamedTuple

from auditctl.errors import ManifestError, Place

# kubeadm's own volumes (cmd/kubeadm/app/phases/controlplane/volumes.go); never ours to take out
KUBEADM_VOLUMES = frozenset(
    {
        "ca-certs",
        "k8s-certs",
        "etc-pki",
        "etc-pki-ca-trust",
        "etc-pki-tls-certs",
        "etc-ca-certificates",
        "usr-share-ca-certificates",
        "usr-local-share-ca-certificates",
        "flexvolume-dir",
        "kubeconfig",
    }
)


class Volume(NamedTuple):
    """One entry of ``spec.volumes``; ``host_path`` is None for another kind, ``type`` is hostPath's (may be empty)."""

    name: str
    position: int
    host_path: str | None
    type: str = ""


class Mount(NamedTuple):
    """One entry of the container's ``volumeMounts``; ``path`` is its normalised mountPath."""

    name: str
    position: int
    path: str
    read_only: bool = False
    sub_path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPath:
    """Where a container path is on the host. ``exact``: the mount is that very path (a file mounted alone)."""

    path: str
    container_path: str
    mount_path: str
    volume: str
    type: str
    read_only: bool
    exact: bool


def normalised_path(path: str) -> str:
    """Return an absolute path without ``.``, ``..``, doubled and trailing slashes."""
    cleaned = posixpath.normpath(path)
    return "/" + cleaned.lstrip("/") if cleaned.startswith("/") else cleaned


def within(path: str, directory: str) -> bool:
    """Tell whether normalised ``path`` is ``directory`` or below it."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def covering(mounts: tuple[Mount, ...], path: str) -> Mount | None:
    """Return the mount that ``path`` is seen through: the longest one that contains it."""
    fitting = [mount for mount in mounts if within(path, mount.path)]
    return max(fitting, key=lambda mount: len(mount.path), default=None)


def host_path(
    mounts: tuple[Mount, ...], volumes: tuple[Volume, ...], path: str, place: Place | None = None
) -> HostPath | None:
    """Return where the container path ``path`` is on the host; None where no mount covers it.

    ``place`` is where the mounts are written, for messages.

    Raises ManifestError where a mount covers it that is no plain hostPath: a subPath, or a volume of another kind.
    """
    normalised = normalised_path(path)
    if not normalised.startswith("/"):
        raise ManifestError(f"{path!r} is no absolute path: it depends on where the container starts", place=place)
    mount = covering(mounts, normalised)
    if mount is None:
        return None
    named = [volume for volume in volumes if volume.name == mount.name]
    if len(named) != 1:
        problem = "twice" if named else "not"
        raise ManifestError(
            f"the mount {mount.path} names the volume {mount.name!r}, which is {problem} there", place=place
        )
    volume = named[0]
    if mount.sub_path or volume.host_path is None:
        kind = "a subPath" if mount.sub_path else "no hostPath"
        raise ManifestError(
            f"{normalised} lies on the mount {mount.path} of volume {mount.name!r}, which is {kind}", place=place
        )
    rest = normalised[len(mount.path.rstrip("/")) :]
    return HostPath(
        path=normalised_path(volume.host_path + rest),
        container_path=normalised,
        mount_path=mount.path,
        volume=volume.name,
        type=volume.type,
        read_only=mount.read_only,
        exact=mount.path == normalised,
    )
