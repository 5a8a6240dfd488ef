"""How long the log keeps what, and which values keep more: arithmetic over a rate of events and their mean size.

Rotation is lumberjack's (``gopkg.in/natefinch/lumberjack.v2``): a file a ``maxsize`` MiB, ``maxbackup`` old files beside the current one, none older
than ``maxage`` days; the first limit that is reached decides. Batching is the manual's reckoning
(kubernetes.io/docs/tasks/debug/debug-cluster/audit, "Parameter tuning").
"""

from __future__ import annotations

import math
from typing import NamedTuple

DAY_SECONDS = 86400
_MEBIBYTE = 1 << 20
_BATCH_SIZE = 400
_LEAST_MEGABYTES = 10


class Load(NamedTuple):
    """Events a second, and mean bytes of one."""

    events_per_second: float
    bytes_per_event: float

    @property
    def bytes_per_day(self) -> float:
        return self.events_per_second * self.bytes_per_event * DAY_SECONDS


class RotationFlags(NamedTuple):
    """Flag values: MiB a file (0: never rotated), old files kept (0: all), days kept (0: all)."""

    maxsize: int
    maxbackup: int
    maxage: int


class Kept(NamedTuple):
    """Days that the log reaches back, which flag decides, and the bytes on disk then. None: no limit at all."""

    days: float | None
    decided_by: str
    bytes: float | None


def kept(load: Load, rotation: RotationFlags) -> Kept:
    """Return the effective retention: whatever limit is reached first. Without a load, the age alone decides."""
    by_age = float(rotation.maxage) if rotation.maxage and rotation.maxsize else None
    room = rotation.maxsize * _MEBIBYTE * rotation.maxbackup if rotation.maxsize and rotation.maxbackup else None
    by_size = room / load.bytes_per_day if room is not None and load.bytes_per_day else None
    if by_size is not None and (by_age is None or by_size <= by_age):
        return Kept(by_size, "audit-log-maxbackup times audit-log-maxsize", (room or 0) + rotation.maxsize * _MEBIBYTE)
    if by_age is not None:
        return Kept(by_age, "audit-log-maxage", by_age * load.bytes_per_day + rotation.maxsize * _MEBIBYTE)
    return Kept(None, "nothing", None)


def days_until_full(load: Load, rotation: RotationFlags, used_bytes: int, free_bytes: int) -> float | None:
    """Return the days until the disk is full; None where rotation stops the growth before."""
    limit = kept(load, rotation).bytes
    if not load.bytes_per_day or (limit is not None and limit - used_bytes <= free_bytes):
        return None
    return free_bytes / load.bytes_per_day


class Proposal(NamedTuple):
    """Rotation for the asked days, what they take, and the days that the disk allows."""

    rotation: RotationFlags
    bytes: float
    days: float


def propose(load: Load, days: float, disk_bytes: float | None, maxsize: int = 100) -> Proposal:
    """Return values that keep ``days``, or as many as fit within ``disk_bytes``. The current file counts too."""
    size = maxsize
    if disk_bytes is not None:
        size = max(
            min(maxsize, int(disk_bytes / 5 / _MEBIBYTE)), min(_LEAST_MEGABYTES, int(disk_bytes / 2 / _MEBIBYTE)), 1
        )
    files = max(math.ceil(load.bytes_per_day * days / (size * _MEBIBYTE)), 1)
    if disk_bytes is not None:
        files = max(min(files, int(disk_bytes / (size * _MEBIBYTE)) - 1), 1)
    rotation = RotationFlags(size, files, max(math.ceil(days), 1))
    result = kept(load, rotation)
    return Proposal(rotation, (files + 1) * size * _MEBIBYTE, result.days if result.days is not None else days)


class Batching(NamedTuple):
    """Batch and throttle values of a webhook (or a log in mode batch)."""

    max_size: int
    throttle_qps: float
    throttle_burst: int
    buffer_size: int


def batching(events_per_second: float, slowest_seconds: float) -> Batching:
    """Return the manual's reckoning.

    Events a second, divided by the batch size, are the batches a second to allow; a slowest answer of the backend of so many
    seconds times the event rate is the buffer that holds what comes meanwhile. A half is added to both.
    """
    qps = max(math.ceil(events_per_second / _BATCH_SIZE * 1.5 * 10) / 10, 1.0)
    buffer = max(math.ceil(slowest_seconds * events_per_second * 1.5), 10_000)
    return Batching(_BATCH_SIZE, qps, max(math.ceil(qps * 1.5), 15), buffer)
