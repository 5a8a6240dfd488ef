"""Paths: volumes and mounts of a Pod, from a container path to a host path, and which paths an audit file may have."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from auditctl.errors import ManifestError, Place, RefusedError
from auditctl.settings import LOG_FLAG, LOG_PATH, LOG_VOLUME, POLICY_PATH, STANDARD_OUTPUT

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
        raise ManifestError(f"{path!r} is not an absolute path: it depends on where the container starts", place=place)
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


MANIFEST_DIRECTORY = "/etc/kubernetes/manifests"
CERTIFICATES = "/etc/kubernetes/pki"
AUDITD_DIRECTORY = "/var/log/audit"
STREAMS = ("/dev/stdout", "/dev/stderr", "/proc/self/fd", "/dev/fd")

# directories that belong to the system or to others: never mounted whole into the API server for the log's sake
SYSTEM_DIRECTORIES = frozenset(
    """
    / /bin /boot /dev /etc /etc/ca-certificates /etc/kubernetes /etc/pki /etc/pki/ca-trust /etc/pki/tls
    /etc/pki/tls/certs /etc/ssl /etc/ssl/certs /home /lib /lib32 /lib64 /media /mnt /opt /proc /root /run /sbin /srv
    /sys /tmp /usr /usr/bin /usr/lib /usr/local /usr/local/share /usr/local/share/ca-certificates /usr/share
    /usr/share/ca-certificates /var /var/cache /var/lib /var/lib/containerd /var/lib/docker /var/lib/etcd
    /var/lib/kubelet /var/log /var/log/containers /var/log/journal /var/log/pods /var/run /var/spool
    /var/tmp
    """.split()  # noqa: SIM905 - a list of fifty strings would fill the page
)
# of these, the ones that can be mounted whole without hiding what the API server's image or its Pod needs; not /var/lib,
# where the data of etcd and of the kubelet lies
LOG_DIRECTORIES = frozenset("/var/log /var/cache /var/spool /tmp /var/tmp /srv /mnt /opt".split())  # noqa: SIM905
SYSTEM_TREES = ("/dev", "/proc", "/sys", "/boot", MANIFEST_DIRECTORY, CERTIFICATES)


def absolute(path: str, flag: str) -> str:
    """Return the container path normalised. Raises RefusedError for a relative one, and where the path may not be.

    Refused: in, at or above the manifest directory (the kubelet takes every file there for a Pod), and in ``pki``.
    """
    if not path.startswith("/") or "\0" in path or path.endswith("/"):
        raise RefusedError(
            f"--{flag}: {path!r} must be an absolute path to a file",
            check="path",
            fix=f"use a path like {LOG_PATH if flag == LOG_FLAG else POLICY_PATH}",
        )
    cleaned = normalised_path(path)
    for directory in (MANIFEST_DIRECTORY, CERTIFICATES):
        if within(cleaned, directory) or within(directory, cleaned):
            raise RefusedError(
                f"--{flag}: {cleaned} is in, at or above {directory}",
                check="path",
                fix="use a directory of its own, like /etc/kubernetes/audit",
            )
    return cleaned


def log_path(path: str, flag: str) -> str:
    """Return the log's container path normalised, ``-`` as it is. RefusedError as in ``absolute`` and for streams."""
    refuse_stream(path, flag)
    if path == STANDARD_OUTPUT:
        return path
    return absolute(path, flag)


def refuse_stream(path: str, flag: str) -> None:
    """Raise RefusedError for the file name of a stream: the server rotates ``/dev/stdout`` like a file."""
    if any(within(normalised_path(path), stream) for stream in STREAMS):
        raise RefusedError(
            f"--{flag}={path} is taken for a file, and rotated",
            check="path",
            fix=f"write --{flag}=- for standard output",
        )


def is_system_directory(directory: str) -> bool:
    """Tell whether ``directory`` is the system's or somebody else's, so that it cannot be mounted whole for a log."""
    return directory in SYSTEM_DIRECTORIES or any(within(directory, tree) for tree in SYSTEM_TREES)


def may_hold_a_log(directory: str) -> bool:
    """Tell whether a log may lie directly in this system directory, where its user insists."""
    return directory in LOG_DIRECTORIES


def belongs_to_others(directory: str) -> bool:
    """Tell whether ``directory`` cannot be mounted whole for a log: it is the system's or auditd's."""
    return is_system_directory(directory) or belongs_to_auditd(directory)


def own_log_path(path: str) -> str:
    """Return what to write in the place of a log path that cannot be: a directory of its own, or standard output."""
    if any(within(path, stream) for stream in STREAMS):
        return STANDARD_OUTPUT
    return posixpath.join(posixpath.dirname(LOG_PATH), posixpath.basename(path))


def belongs_to_auditd(path: str) -> bool:
    """Tell whether ``path`` is in the directory where the host's auditd keeps its own log."""
    return within(path, AUDITD_DIRECTORY)


def serves_only_audit(mount: Mount, path: str, other_words: Iterable[str]) -> bool:
    """Tell whether the mount that covers audit file ``path`` may go out with it.

    It may where it is the file, its directory, or called audit; and neither the system's (but for a mount of ours that holds the log), nor
    kubeadm's, nor named by any of ``other_words`` (the words of the command line, environment and probes that stay).
    """
    is_log_mount = (
        mount.name.startswith(LOG_VOLUME) and mount.path == posixpath.dirname(path) and may_hold_a_log(mount.path)
    )
    protected = (
        (is_system_directory(mount.path) and not is_log_mount)
        or mount.name in KUBEADM_VOLUMES
        or mount.name.startswith("etcd-certs")
    )
    named = "audit" in posixpath.basename(mount.path) or "audit" in mount.name
    fits = mount.path in {path, posixpath.dirname(path)} or named
    mentioned = re.compile(re.escape(mount.path) + r"(?![\w.-])")
    return fits and not protected and not any(mentioned.search(word) for word in other_words)
