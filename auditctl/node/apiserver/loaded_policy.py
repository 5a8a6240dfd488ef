"""The policy that a process has loaded: known only while nobody touched the file since the process started."""

from __future__ import annotations

import os
import time
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.process import Process
from auditctl.node.change import files
from auditctl.node.change.files import Root


def loaded_file(process: Process, root: Root, manifest: Manifest, container_path: str) -> bytes | None:
    """What ``container_path`` holds as the process sees it, if its ctime is older than the process; else None.

    The server reads its policy once, at its start (pkg/audit/policy/reader.go), so a younger file proves nothing.
    A process in our own mount namespace sees the host's paths: there the manifest's mounts say where the file is.
    """
    place = _seen_by(process, root, manifest, container_path)
    try:
        if place is None or _ctime_boot(place) > process.started:
            return None
        return files.read_regular(place, "policy")
    except (OSError, RefusedError):
        return None


def written_since(process: Process, root: Root, manifest: Manifest, container_path: str) -> bool:
    """Was the file's content written after the process had started? Then that is not what the process has read.

    A younger ctime alone (a chmod, a rename) says nothing of the kind.
    """
    place = _seen_by(process, root, manifest, container_path)
    try:
        return place is not None and _boot_time(place.stat().st_mtime) > process.started
    except OSError:
        return False


def _seen_by(process: Process, root: Root, manifest: Manifest, container_path: str) -> Path | None:
    if not process.shares_our_mounts():
        return process.root / container_path.lstrip("/")
    mounted = manifest.host_path(container_path)
    return root.host(mounted.path) if mounted is not None else None


def _ctime_boot(path: Path) -> float:
    """The file's ctime in seconds of the boot clock."""
    return _boot_time(os.stat(path).st_ctime)  # noqa: PTH116 (a path under /proc/PID/root is not resolved)


def _boot_time(wall: float) -> float:
    return wall - (time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))
