"""Check who else may change manifest, policy or log: owner and mode of files and directories above.

As sshd (StrictModes) and sudo look at theirs. What the manifest says runs as root, so one that others may write is
refused. Policy and log are where the user chose to have them: a warning.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from auditctl.findings import Finding
from auditctl.manifest.pod import Manifest
from auditctl.node import path_trust
from auditctl.node.opening import Root
from auditctl.node.path_trust import UnsafeComponent
from auditctl.node.preflight import node_checks
from auditctl.node.preflight.mounts import user_of
from auditctl.settings import LOG_FLAG, POLICY_FLAG, WEBHOOK_FLAG

_CHECK = "path-writable"
# Debian and Ubuntu ship /var/log as root:syslog 0775, and the kubelet's default log directory lies below it
_GROUP_WRITABLE = frozenset([Path("/var/log")])


def manifest_path(root: Root, path: Path) -> Iterator[Finding]:
    """Yield an error where others may change the manifest, a warning where another user owns it.

    Only root is held to it: a folder of a user's own is that user's matter.
    """
    unsafe = _first_unsafe(root, path)
    if unsafe is None:
        return
    if unsafe.path == path.parent.resolve() / path.name and not unsafe.mode & 0o022:
        text = f"{path} belongs to another user (uid {unsafe.uid}), who may change what root runs"
        yield Finding.warning(_CHECK, text, f"chown root {path}")
        return
    text = f"the manifest {path} is not edited: {unsafe}; whoever may write it decides what root runs"
    yield Finding.error("path-untrusted", text, f"chown root {unsafe.path} && chmod go-w {unsafe.path}")


def state_directory(root: Root, path: Path) -> Iterator[Finding]:
    """Yield an error where others may exchange the state directory: root installs what its records say."""
    unsafe = _first_unsafe(root, path / "changes" / "record")
    if unsafe is not None:
        fix = "choose a --state-dir below a directory that only root writes"
        yield Finding.error("path-untrusted", f"the state directory {path} is not used: {unsafe}", fix)


def _first_unsafe(root: Root, path: Path) -> UnsafeComponent | None:
    """Return the first component that somebody other than root may change.

    What lies above the folder of ``--rootfs`` is the choice of whoever named it, and no path leads out of it.
    """
    if os.geteuid() != 0:
        return None
    with suppress(OSError):  # its absence is reported by whoever reads it
        unsafe = path_trust.first_unsafe(path)
        if unsafe is None or root.is_host or root.path.resolve() in unsafe.path.parents:
            return unsafe
        places = [place for place in (*reversed(path.parents), path) if root.path in place.parents]
        return next((unsafe for place in places if (unsafe := _judged(place, is_last=place == path))), None)
    return None


def _judged(place: Path, *, is_last: bool) -> UnsafeComponent | None:
    status = place.stat()
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != 0:
        return UnsafeComponent(place, "belongs to somebody else", status.st_uid, mode)
    if mode & 0o022 and (is_last or not mode & stat.S_ISVTX):
        return UnsafeComponent(place, "may be written by others", status.st_uid, mode)
    return None


def audit_paths(root: Root, manifest: Manifest) -> Iterator[Finding]:
    """Yield a warning for each audit file that others than root and the server's user may replace."""
    trusted = {0, os.geteuid(), user_of(manifest).uid}
    for flag in (POLICY_FLAG, WEBHOOK_FLAG, LOG_FLAG):
        path = node_checks.host_of(root, manifest, flag)
        unsafe = _first_writable(path, trusted) if path is not None else None
        if unsafe is not None:
            place, reason = unsafe
            loss = "read or remove its events" if flag == LOG_FLAG else "replace it, and the API server loads it"
            text = f"{place} {reason}, so somebody else may change {path} (--{flag}): {loss}"
            yield Finding.warning(_CHECK, text, f"chown root {place} && chmod go-w {place}")


def _first_writable(path: Path, trusted: set[int]) -> tuple[Path, str] | None:
    """Return the outermost place of the path that another user may write, and why; links are followed."""
    for place in (*reversed(path.parents), path):
        try:
            status = place.stat()
        except OSError:  # the run makes the rest, for itself alone
            return None
        if status.st_uid not in trusted:
            return place, f"belongs to uid {status.st_uid}"
        if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
            return place, f"may be written by everybody (mode {stat.S_IMODE(status.st_mode):04o})"
        if status.st_mode & stat.S_IWGRP and status.st_gid != 0 and place not in _GROUP_WRITABLE:
            return place, f"may be written by group {status.st_gid} (mode {stat.S_IMODE(status.st_mode):04o})"
    return None
