"""Which paths an audit file may have, and which mounts are ours to take out."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from auditctl.errors import RefusedError
from auditctl.manifest.mounts import KUBEADM_VOLUMES, Mount, normalised_path, within
from auditctl.settings import LOG_PATH, LOG_VOLUME, STANDARD_OUTPUT

MANIFEST_DIRECTORY = "/etc/kubernetes/manifests"
CERTIFICATES = "/etc/kubernetes/pki"
AUDITD_DIRECTORY = "/var/log/audit"
LOG_DIRECTORY = "/var/log"
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
SYSTEM_TREES = ("/dev", "/proc", "/sys", "/boot", MANIFEST_DIRECTORY, CERTIFICATES)


def absolute(path: str, flag: str) -> str:
    """Return the container path normalised. Raises RefusedError for a relative one, and where the path may not be.

    Refused: in, at or above the manifest directory (the kubelet takes every file there for a Pod), and in ``pki``.
    """
    if not path.startswith("/") or "\0" in path or path.endswith("/"):
        raise RefusedError(
            f"--{flag}: {path!r} is no absolute path of a file", check="path", fix="name a file, from / on"
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

    It may where it is the file, its directory, or called audit; and neither the system's (but for a mount of ours of
    ``/var/log`` itself), nor kubeadm's, nor named by
    any of ``other_words`` (the words of the command line, environment and probes that stay).
    """
    is_log_mount = mount.path == LOG_DIRECTORY == posixpath.dirname(path) and mount.name.startswith(LOG_VOLUME)
    protected = (
        (is_system_directory(mount.path) and not is_log_mount)
        or mount.name in KUBEADM_VOLUMES
        or mount.name.startswith("etcd-certs")
    )
    named = "audit" in posixpath.basename(mount.path) or "audit" in mount.name
    fits = mount.path in {path, posixpath.dirname(path)} or named
    mentioned = re.compile(re.escape(mount.path) + r"(?![\w.-])")
    return fits and not protected and not any(mentioned.search(word) for word in other_words)
