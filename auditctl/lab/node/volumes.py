"""hostPath volumes as the kubelet sets them up (pkg/volume/hostpath/host_path.go)."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from auditctl.errors import AuditctlError
from auditctl.lab.node.pod_decoding import HostPathType
from auditctl.lab.node.static_pod import PodVolume, StaticPod

_Test = Callable[[int], bool]
_KINDS: dict[HostPathType, tuple[_Test, str]] = {
    HostPathType.FILE: (stat.S_ISREG, "file"),
    HostPathType.FILE_OR_CREATE: (stat.S_ISREG, "file"),
    HostPathType.DIRECTORY: (stat.S_ISDIR, "directory"),
    HostPathType.DIRECTORY_OR_CREATE: (stat.S_ISDIR, "directory"),
    HostPathType.SOCKET: (stat.S_ISSOCK, "socket"),
    HostPathType.CHARACTER_DEVICE: (stat.S_ISCHR, "character device"),
    HostPathType.BLOCK_DEVICE: (stat.S_ISBLK, "block device"),
}


class VolumeError(AuditctlError):
    """A volume cannot be set up: no container is made, and the kubelet tries again."""

    def __init__(self, volume: str, message: str) -> None:
        super().__init__(message)
        self.volume = volume


@dataclass(frozen=True, slots=True)
class Bind:
    """One mount of a container that is about to start; ``host_path`` is a path of this machine, inside the folder."""

    container_path: str
    host_path: str
    read_only: bool


def set_up(pod: StaticPod, host: Callable[[str], Path]) -> tuple[Bind, ...]:
    """Check (and create, where the type says so) every mounted volume; ``host`` places a node's path in the folder.

    Raises VolumeError in the kubelet's words.
    """
    volumes = {volume.name: volume for volume in pod.volumes if volume.name in {mount.volume for mount in pod.mounts}}
    for volume in volumes.values():
        _check(volume, host(volume.path))
    return tuple(
        Bind(mount.container_path, str(host(volumes[mount.volume].path)), mount.read_only)
        for mount in pod.mounts
        if mount.volume in volumes
    )


def _check(volume: PodVolume, path: Path) -> None:
    try:
        _create(volume.type, path)
    except OSError as error:
        words = (error.strerror or "").lower()
        raise VolumeError(volume.name, f"mkdir {volume.path}: {words}") from error
    if volume.type is HostPathType.UNSET:
        return
    test, kind = _KINDS[volume.type]
    if not path.exists() or not test(path.stat().st_mode):
        raise VolumeError(volume.name, f"hostPath type check failed: {volume.path} is not a {kind}")


def _create(kind: HostPathType, path: Path) -> None:
    if path.exists():
        return
    if kind in (HostPathType.DIRECTORY_OR_CREATE, HostPathType.UNSET):  # unset: the runtime makes a directory
        path.mkdir(mode=0o755, parents=True)
    elif kind is HostPathType.FILE_OR_CREATE and path.parent.is_dir():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
