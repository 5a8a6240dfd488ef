"""Check each audit path through the Pod's mounts: reachable, of the right kind, open to the server."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from auditctl.errors import ManifestError
from auditctl.findings import Finding, Severity
from auditctl.manifest.fields import mapping
from auditctl.manifest.fields import written as written_path
from auditctl.manifest.paths import AUDITD_DIRECTORY, HostPath, Volume, belongs_to_auditd, covering, within
from auditctl.manifest.pod import Manifest
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.files import Root
from auditctl.node.logfiles import log_files
from auditctl.node.preflight.ownership import ELSEWHERE, open_to_others, owned_by
from auditctl.settings import LOG_FLAG, LOG_PATH, POLICY_FLAG, POLICY_PATH, STANDARD_OUTPUT, WEBHOOK_FLAG

_MOST_LINKS = 40  # as the kernel follows
_OVERRIDING = frozenset(["ALL", "DAC_OVERRIDE", "CAP_DAC_OVERRIDE"])
_GET_FLAGS = 0x80086601  # FS_IOC_GETFLAGS (linux/fs.h), 64 bit
_IMMUTABLE, _APPEND_ONLY = 0x10, 0x20
_KINDS = {  # pkg/volume/hostpath/host_path.go: the check of each type, symbolic links followed
    "File": (stat.S_ISREG, "a file"),
    "FileOrCreate": (stat.S_ISREG, "a file"),
    "Directory": (stat.S_ISDIR, "a directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "a directory"),
    "Socket": (stat.S_ISSOCK, "a socket"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


class ContainerUser(NamedTuple):
    """The user that the container runs as. ``overrides``: permissions do not apply to it."""

    uid: int = 0
    groups: frozenset[int] = frozenset([0])
    overrides: bool = True

    def may(self, status: os.stat_result, rights: int) -> bool:
        """Tell whether owner, group and mode allow ``rights`` (4 read, 2 write, 1 search)."""
        return self.is_allowed(status.st_uid, status.st_gid, status.st_mode, rights)

    def is_allowed(self, uid: int, gid: int, mode: int, rights: int) -> bool:
        """Tell the same of a file that is not there yet."""
        shift = 6 if uid == self.uid else 3 if gid in self.groups else 0
        return self.overrides or (mode >> shift) & rights == rights


def user_of(manifest: Manifest) -> ContainerUser:
    """Return the user of the API server's container; where the Pod names none, the image's own is root."""
    pod = mapping(manifest.document, ("spec", "securityContext"))
    own = mapping(manifest.document, (*manifest.container_path, "securityContext"))
    group = own.get("runAsGroup", pod.get("runAsGroup"))
    more = pod.get("supplementalGroups")
    groups = [group if group is not None else 0, pod.get("fsGroup"), *(more if isinstance(more, list) else ())]
    capabilities: Any = own.get("capabilities")
    dropped = capabilities.get("drop") if isinstance(capabilities, dict) else None
    keeps = not (isinstance(dropped, list) and _OVERRIDING & set(map(str, dropped)))
    uid = manifest.run_as_user
    return ContainerUser(uid, frozenset(one for one in groups if isinstance(one, int)), uid == 0 and keeps)


def audit_paths(root: Root, manifest: Manifest, written: Mapping[str, FileEdit]) -> Iterator[Finding]:
    """Yield what keeps the API server from its audit files; ``written`` are the files that this run writes, by flag."""
    user = user_of(manifest)
    for flag in (POLICY_FLAG, WEBHOOK_FLAG, LOG_FLAG):
        value = manifest.flag(flag)
        if not value or value == STANDARD_OUTPUT or "$(" in value:
            continue
        place = manifest.host_path(value)
        if place is None:
            yield _unmounted(flag, value)
        elif lost := hidden(root, manifest, value):
            fix = f"put the file itself at {place.path}, or mount the directory that the link leads to"
            yield Finding.error("audit-mount", f"--{flag}={value}: {lost}, so the API server cannot reach it", fix)
        elif flag == LOG_FLAG:
            yield from _log(root, place, user)
        else:
            yield from _readable(root, flag, place, user, written.get(flag))


def volume_types(
    root: Root, manifest: Manifest, *, all_of_them: bool, to_be: Collection[Path] = ()
) -> Iterator[Finding]:
    """Yield the volumes that would fail the kubelet's type checks: audit volumes, or all of the Pod's.

    ``to_be`` are paths that this run creates.
    """
    audit, files = set(), set()  # an absent audit file is told of by its flag
    for flag in (POLICY_FLAG, WEBHOOK_FLAG, LOG_FLAG):
        value = manifest.flag(flag)
        if value and value != STANDARD_OUTPUT and (mount := covering(manifest.mounts, value)):
            audit.add(mount.name)
            place = manifest.host_path(value)
            files.add(root.host(place.path) if place is not None else None)
    used = {mount.name for mount in manifest.mounts}
    for volume in manifest.volumes:
        if volume.host_path is None or volume.name not in (used if all_of_them else audit) or not volume.type:
            continue
        path = root.host(volume.host_path)
        test, kind = _KINDS.get(volume.type, (None, ""))
        if test is None or any(path == one or path in one.parents for one in to_be):
            continue
        if not path.exists():
            if path not in files and not volume.type.endswith("OrCreate"):
                yield _kind(manifest, volume, path, f"is not there, and must be {kind}")
        elif not test(path.stat().st_mode):
            yield _kind(manifest, volume, path, f"is not {kind}")


def hidden(root: Root, manifest: Manifest, container_path: str) -> str:
    """Return why a link makes a path differ inside the container from what it is on the host, or nothing."""
    path = container_path
    for _ in range(_MOST_LINKS):
        with suppress(ManifestError):
            place = manifest.host_path(path)
            if place is None:
                return f"a symbolic link leads to {path}, which is not mounted"
            link = _first_link(root, place)
            if link is None:
                return ""
            at, rest = link
            target = str(root.host(place.path[: len(place.path) - len(rest)]).readlink())
            path = posixpath.normpath(posixpath.join(posixpath.dirname(at), target) + rest)
            continue
        return ""
    return "symbolic links lead in a circle"


def _first_link(root: Root, place: HostPath) -> tuple[str, str] | None:
    """Return the first symbolic link below the mount: its container path, and what follows it.

    The mount itself is resolved on the host.
    """
    below = place.container_path[len(place.mount_path.rstrip("/")) :]
    base = place.path[: len(place.path) - len(below)] if below else place.path
    walked = ""
    for name in filter(None, below.split("/")):
        walked += "/" + name
        if root.host(base + walked).is_symlink():
            return place.mount_path.rstrip("/") + walked, below[len(walked) :]
    return None


def _readable(root: Root, flag: str, place: HostPath, user: ContainerUser, edit: FileEdit | None) -> Iterator[Finding]:
    path = root.host(place.path)
    if user.overrides or (edit is None and not path.exists()):
        return
    for directory in _directories(root, place):
        if directory.is_dir() and not user.may(directory.stat(), 1) and not _has_acl(directory):
            files = (path,)
            fix = f"auditctl enable --policy baseline --policy-path {POLICY_PATH}" if flag == POLICY_FLAG else ""
            yield _closed(flag, directory, user, "enter", owned_by(root, directory, user.uid, files, fix))
            return
    if not path.exists():
        like = edit.like if edit is not None else None
        if like is None or not user.is_allowed(like.uid, like.gid, like.mode, 4):
            source = edit.source if edit is not None and "/" in edit.source else "POLICY"
            fix = f"install -m 0600 -o {user.uid} {source} {path}, then run this again"
            yield _closed(flag, path, user, "read", fix)
    elif not user.may(path.stat(), 4) and not _has_acl(path):
        yield _closed(flag, path, user, "read", f"chown {user.uid} {path}")


def _log(root: Root, place: HostPath, user: ContainerUser) -> Iterator[Finding]:
    path = root.host(place.path)
    if place.exact:
        text = (
            f"the log {place.path} is mounted as a single file: it cannot be rotated (EBUSY), then every event is lost"
        )
        fix = f"auditctl enable --log-path {LOG_PATH}  # its directory is mounted whole"
        yield Finding.warning("single-file-log", text, fix)
    if place.read_only:
        text = (
            f"the log {place.path} lies on the mount {place.mount_path}, which is read-only: the server would not start"
        )
        yield Finding.error("read-only-log", text, "make that mount read-write")
    if belongs_to_auditd(place.path):
        text = (
            f"the log {place.path} is in {AUDITD_DIRECTORY}, which belongs to auditd: its rotation and label are others"
        )
        yield Finding.warning("shared-log-directory", text, ELSEWHERE)
    if within(place.path, "/tmp") or within(place.path, "/var/tmp") or within(place.path, "/run"):  # noqa: S108
        text = f"the log {place.path} is in a directory that the system empties"
        yield Finding.warning("log-volatile", text, ELSEWHERE)
    there = next((one for one in (path, *path.parents) if one.exists()), path)
    if os.statvfs(there).f_flag & os.ST_RDONLY:
        yield Finding.error("log-unwritable", f"{there} is on a file system that is read-only", "mount it read-write")
    for one, flags in ((path.parent, _IMMUTABLE | _APPEND_ONLY), (path, _IMMUTABLE | _APPEND_ONLY)):
        if attributes(one) & flags:
            text = f"{one} is immutable or append-only (lsattr): the API server could not write or rotate its log"
            yield Finding.error("log-unwritable", text, f"ask who made it so, then: chattr -i -a {one}")
    yield from open_to_others(root, path)
    if not user.overrides:
        yield from _log_of_user(root, place, path, user)


def _log_of_user(root: Root, place: HostPath, path: Path, user: ContainerUser) -> Iterator[Finding]:
    for directory in _directories(root, place):
        rights = 3 if directory == path.parent else 1
        if not directory.is_dir():
            yield _closed(LOG_FLAG, directory, user, "write", f"install -d -m 0700 -o {user.uid} {directory}")
            return
        if not user.may(directory.stat(), rights) and not _has_acl(directory):
            fix = owned_by(root, directory, user.uid, tuple(log_files(path)), ELSEWHERE)
            yield _closed(LOG_FLAG, directory, user, "write", fix)
            return
    if path.is_file() and not user.may(path.stat(), 2) and not _has_acl(path):
        yield _closed(LOG_FLAG, path, user, "write", f"chown {user.uid} {path}")


def unchangeable(manifest_path: Path, policy: Path | None) -> Iterator[Finding]:
    """Yield the files that even root cannot replace (``chattr +i``); this run writes ``policy``."""
    for path in (manifest_path, manifest_path.parent, *((policy, policy.parent) if policy else ())):
        if attributes(path) & (_IMMUTABLE | _APPEND_ONLY):
            text = f"{path} is immutable or append-only (lsattr): somebody wants it to stay as it is"
            yield Finding.error("immutable", text, f"ask who did it, then: chattr -i -a {path}")


def attributes(path: Path) -> int:
    """Return the inode flags (chattr); 0 where the file system has none, or it may not be opened."""
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, _GET_FLAGS, bytes(8))[:4], "little")
    except OSError:
        return 0
    finally:
        os.close(descriptor)


def _directories(root: Root, place: HostPath) -> list[Path]:
    """Return the directories that the container passes on its way to the file, outermost first."""
    if place.exact:
        return []
    below = place.container_path[len(place.mount_path.rstrip("/")) :]
    path = root.host(place.path)
    return [*path.parents][: len(list(filter(None, below.split("/"))))][::-1]


def _has_acl(path: Path) -> bool:
    with suppress(OSError):
        return "system.posix_acl_access" in os.listxattr(path)
    return False


def _unmounted(flag: str, value: str) -> Finding:
    if flag == LOG_FLAG:
        text = f"--{flag}={value} is on no mount: the log stays inside the container and is lost at its next restart"
        return Finding(
            check="log-not-mounted",
            severity=Severity.WARNING,
            message=text,
            fix="auditctl enable  # mounts its directory",
        )
    text = f"--{flag}={value} is on no mount: the API server would not find it and not start"
    return Finding.error("audit-mount", text, "auditctl enable  # mounts it")


def _kind(manifest: Manifest, volume: Volume, path: Path, problem: str) -> Finding:
    where = ("spec", "volumes", volume.position)
    text = f"{path} {problem} (volume {volume.name}, type {volume.type}): the kubelet would not start the Pod"
    error = Finding.error("volume-type", text, "put it there, or correct the type of the volume")
    place = manifest.document.place(where)
    return replace(error, path=written_path(where), file=place.file, line=place.line, column=place.column)


def _closed(flag: str, path: Path, user: ContainerUser, verb: str, fix: str) -> Finding:
    text = f"the API server runs as user {user.uid}, which may not {verb} {path}, for --{flag}"
    return Finding.error("audit-permission", text, fix)
