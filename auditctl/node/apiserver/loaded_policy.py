"""Judge which policy a process has loaded: by what was recorded when it was proved, else by the age of the file.

The server reads its policy once, at its start (`apiserver/pkg/audit/policy/reader.go`). Clocks alone do not tell what it
has read: when a virtual machine is paused or its clock is set, the time of a file and the start of a process are no
longer comparable. So a run that has proved a server records the process (with the boot that it belongs to) and the file
(inode, ctime and digest), and that record is believed before any clock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from auditctl.errors import RefusedError
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.process import Process
from auditctl.node.change import files
from auditctl.node.change.files import Root
from auditctl.node.clock import Clock

T = TypeVar("T")

_CLOCK_STEP_SECONDS = 1.0
"""The wall clock may drift by less than this against the boot clock; more means that it was set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPolicyRecord:
    """A process that was proved, and the policy file that it has read.

    ``clock_offset`` is the wall clock minus the boot clock at that moment, ``ctime`` is in nanoseconds.
    """

    boot: str
    pid: int
    started: float
    clock_offset: float
    device: int
    inode: int
    ctime: int
    sha256: str

    @classmethod
    def of(cls, process: Process, path: Path, content: bytes, clock: Clock) -> LoadedPolicyRecord:
        """Return the record of a process that has read ``content`` from ``path``. Raises OSError."""
        status = os.stat(path)  # noqa: PTH116 (a path under /proc/PID/root is not resolved)
        return cls(
            boot=clock.boot_id(),
            pid=process.pid,
            started=process.started,
            clock_offset=_clock_offset(),
            device=status.st_dev,
            inode=status.st_ino,
            ctime=status.st_ctime_ns,
            sha256=files.sha256(content),
        )

    @classmethod
    def read(cls, record: Mapping[str, object]) -> LoadedPolicyRecord | None:
        """Return what ``as_json`` has made; None for anything else."""
        try:
            return cls(
                boot=_typed(record, "boot", str),
                pid=_typed(record, "pid", int),
                started=_typed(record, "started", float),
                clock_offset=_typed(record, "clock_offset", float),
                device=_typed(record, "device", int),
                inode=_typed(record, "inode", int),
                ctime=_typed(record, "ctime", int),
                sha256=_typed(record, "sha256", str),
            )
        except (KeyError, TypeError):
            return None

    def as_json(self) -> dict[str, object]:
        """Return the record as plain values."""
        return asdict(self)

    def is_of(self, process: Process, boot: str) -> bool:
        """Return whether this very process was recorded: pid and start are unique only within one boot."""
        return self.boot == boot and (self.pid, self.started) == process.identity

    def was_followed_by(self, process: Process, boot: str) -> bool:
        """Return whether ``process`` was started after the recorded one."""
        return self.boot != boot or process.started > self.started

    def describes(self, path: Path) -> bool:
        """Return whether the file is the recorded one, and nobody has written, renamed or replaced it since."""
        try:
            status = os.stat(path)  # noqa: PTH116
            same = (status.st_dev, status.st_ino, status.st_ctime_ns) == (self.device, self.inode, self.ctime)
            return same and files.digest(path) == self.sha256
        except OSError:
            return False

    def clock_was_set(self, boot: str) -> bool:
        """Return whether the wall clock was set since the record was written; within one boot only that can be told."""
        return self.boot == boot and abs(_clock_offset() - self.clock_offset) > _CLOCK_STEP_SECONDS


def _typed(record: Mapping[str, object], name: str, kind: type[T]) -> T:
    value = record[name]
    if not isinstance(value, kind):
        raise TypeError(name)
    return value


def file_of_process(process: Process, root: Root, manifest: Manifest, container_path: str) -> Path | None:
    """Return where the file that the process sees at ``container_path`` can be read from here.

    A process in our own mount namespace sees the host's paths: there the manifest's mounts say where the file is.
    """
    if not process.shares_our_mounts():
        return process.root / container_path.lstrip("/")
    mounted = manifest.host_path(container_path)
    return root.followed(mounted.path) if mounted is not None else None


def loaded_file(process: Process, root: Root, manifest: Manifest, container_path: str) -> bytes | None:
    """Return what ``container_path`` holds as the process sees it, if the file is older than the process; else None.

    This compares clocks, so it is evidence only where there is no record to go by.
    """
    place = file_of_process(process, root, manifest, container_path)
    try:
        if place is None or _boot_time(os.stat(place).st_ctime) > process.started:  # noqa: PTH116
            return None
        return files.read_regular(place, "policy")
    except (OSError, RefusedError):
        return None


def written_since(process: Process, root: Root, manifest: Manifest, container_path: str) -> bool:
    """Return whether the file's content was written after the process had started; then it has not read this content.

    A younger ctime alone (a chmod, a rename) says nothing of the kind.
    """
    place = file_of_process(process, root, manifest, container_path)
    try:
        return place is not None and _boot_time(place.stat().st_mtime) > process.started
    except OSError:
        return False


def _boot_time(wall: float) -> float:
    return wall - _clock_offset()


def _clock_offset() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
