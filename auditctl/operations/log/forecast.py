"""``log forecast``: days kept with the flags as they are, days until the disk is full, and the values for what is wanted."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditctl import durations, facts
from auditctl.errors import RefusedError, UsageError
from auditctl.log.forecast import (
    DAY_SECONDS,
    Kept,
    Load,
    Proposal,
    RotationFlags,
    batching,
    days_until_full,
    kept,
    propose,
)
from auditctl.node.logfiles import log_files
from auditctl.operations.answer import CommandResult, amount
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.log.volume import measured
from auditctl.operations.log_sources import node_log
from auditctl.settings import MAXAGE_FLAG, MAXBACKUP_FLAG, MAXSIZE_FLAG, WEBHOOK_FLAG

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)B?")
_MOST_RATE, _MOST_BYTES, _MOST_DAYS = 1e7, 1e15, 36_500.0
_USUAL_SLOWEST_SECONDS = 10.0
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class ForecastOptions:
    """The options of ``log forecast``. ``requests`` a second times ``stages`` are events a second."""

    logs: tuple[str, ...] = ()
    rate: float | None = None
    requests: float | None = None
    stages: int = 2
    event_size: str | None = None
    days: float | None = None
    disk: str | None = None
    slowest_seconds: float | None = None


def size_of(option: str, text: str) -> float:
    """Return bytes of ``20G``, ``500MB``, ``1.5Ki``. Raises UsageError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{option} {text}: not a size (write 1200, 500MB, 20Gi)")
    unit: int = (1024 if match[3] else 1000) ** _POWERS[match[2].upper()]
    return float(match[1]) * unit


def _check(option: str, value: float | None, most: float) -> None:
    """Neither nothing nor, by a slip of the hand, more than any node has."""
    if value is not None and not 0 < value <= most:
        raise UsageError(f"{option} is more than 0 and at most {most:g}")


def log_forecast(plane: ControlPlane, options: ForecastOptions) -> CommandResult:
    """Return what the flags keep at this load, and what to set instead.

    Raises:
        UsageError: an option is not of its form; RefusedError: no load is given and no log can be read.
    """
    load, basis = _load(plane, options)
    disk = size_of("--disk", options.disk) if options.disk is not None else None
    _check("--days", options.days, _MOST_DAYS)
    _check("--disk", disk, _MOST_BYTES)
    rotation, log = node_rotation(plane)
    now = kept(load, rotation) if rotation is not None else None
    full = _until_full(load, rotation, log) if rotation is not None and log is not None else None
    proposed = propose(load, options.days if options.days is not None else 30.0, disk)
    slowest = _USUAL_SLOWEST_SECONDS if options.slowest_seconds is None else options.slowest_seconds
    sets, batch = _rotation_flags(proposed), _batch_flags(load, slowest)
    document: dict[str, Any] = {
        "load": {
            "eventsPerSecond": round(load.events_per_second, 3),
            "bytesPerEvent": round(load.bytes_per_event, 1),
            "bytesPerDay": round(load.bytes_per_day),
        },
        "now": _now_row(rotation, now),
        "daysUntilDiskIsFull": full,
        "proposed": {"flags": sets, "days": proposed.days, "bytes": proposed.bytes},
        "batching": batch,
    }
    size = f"{amount(load.bytes_per_event)}: {amount(load.bytes_per_day)} a day"
    lines = [f"load: {load.events_per_second:.1f} events a second of {size}{basis}"]
    lines += _now_lines(rotation, now, full, log)
    lines += [f"for {proposed.days:.1f} days, {amount(proposed.bytes)} of disk:", "  auditctl enable " + _options(sets)]
    if options.days is not None and proposed.days < options.days * 0.999:
        lines.append(f"  {options.days:g} days do not fit: they take {amount(load.bytes_per_day * options.days)}")
    if options.slowest_seconds is not None or _has_webhook(plane):
        lines.append(f"for a webhook whose slowest answer takes {slowest:g} s:")
        lines.append("  auditctl enable " + _options(batch))
    return CommandResult(document=document, lines=tuple(lines))


def _now_row(rotation: RotationFlags | None, now: Kept | None) -> dict[str, Any] | None:
    if rotation is None or now is None:
        return None
    return {**rotation._asdict(), "daysKept": now.days, "decidedBy": now.decided_by, "bytes": now.bytes}


def _rotation_flags(proposed: Proposal) -> dict[str, str]:
    values = proposed.rotation
    return {
        MAXSIZE_FLAG: str(values.maxsize),
        MAXBACKUP_FLAG: str(values.maxbackup),
        MAXAGE_FLAG: str(values.maxage),
    }


def _batch_flags(load: Load, slowest_seconds: float) -> dict[str, str]:
    rates = batching(load.events_per_second, slowest_seconds)
    return {
        "audit-webhook-batch-max-size": str(rates.max_size),
        "audit-webhook-batch-throttle-qps": f"{rates.throttle_qps:g}",
        "audit-webhook-batch-throttle-burst": str(rates.throttle_burst),
        "audit-webhook-batch-buffer-size": str(rates.buffer_size),
    }


def _options(flags: dict[str, str]) -> str:
    """Return the flags as options of ``enable``: by their own name where they have one, by ``--set`` else."""
    named = {MAXSIZE_FLAG: "--log-maxsize ", MAXBACKUP_FLAG: "--log-maxbackup ", MAXAGE_FLAG: "--log-maxage "}
    return " ".join(f"{named.get(name, f'--set {name}=')}{value}" for name, value in flags.items())


def _has_webhook(plane: ControlPlane) -> bool:
    try:
        return plane.read_manifest()[1].flag(WEBHOOK_FLAG) is not None
    except RefusedError:
        return False


def _load(plane: ControlPlane, options: ForecastOptions) -> tuple[Load, str]:
    """Return the load, and in words what it was measured on (empty where all of it was given)."""
    if options.rate is not None and options.requests is not None:
        raise UsageError("--rate and --requests exclude each other")
    rate = options.rate if options.requests is None else options.requests * options.stages
    size = size_of("--event-size", options.event_size) if options.event_size is not None else None
    for option, value, most in (
        ("--requests" if options.rate is None else "--rate", rate, _MOST_RATE),
        ("--event-size", size, _MOST_BYTES),
    ):
        _check(option, value, most)
    if rate is not None and size is not None:
        return Load(rate, size), ""
    rates = measured(plane, options.logs)
    events, span = rates.events, rates.span_seconds
    if not events or not span:
        raise RefusedError("the log has no event with a time", check="log-empty", fix="give --rate and --event-size")
    size_here = rates.bytes / events
    load = Load(rate if rate is not None else events / span, size if size is not None else size_here)
    doubt = "; less than a day tells little of the others" if rate is None and span < DAY_SECONDS else ""
    return load, f" (measured over {durations.age(span)} of the log{doubt})"


def node_rotation(plane: ControlPlane) -> tuple[RotationFlags | None, Path | None]:
    """Return what the node's manifest sets, the server's defaults where it sets nothing; None without a manifest."""
    try:
        _, manifest = plane.read_manifest()
        log = node_log(plane)
    except RefusedError:
        return None, None
    values = []
    for name in (MAXSIZE_FLAG, MAXBACKUP_FLAG, MAXAGE_FLAG):
        text = manifest.flag(name) or facts.audit_flags()[name].default()
        values.append(int(text) if text.isdecimal() else 0)
    return RotationFlags(*values), log


def _until_full(load: Load, rotation: RotationFlags, log: Path) -> float | None:
    with suppress(OSError):
        free_bytes = shutil.disk_usage(log.parent).free
        used = sum(path.stat().st_size for path in log_files(log))
        return days_until_full(load, rotation, used, free_bytes)
    return None


def _now_lines(rotation: RotationFlags | None, now: Kept | None, full: float | None, log: Path | None) -> Iterator[str]:
    if rotation is None or now is None:
        yield "This machine has no API server that writes a log to a file, so no flags are shown."
        return
    days = "for ever" if now.days is None else f"{now.days:.1f} days"
    yield f"kept now: {days}, decided by {now.decided_by}" + (f", {amount(now.bytes)} of disk" if now.bytes else "")
    if full is not None:
        yield f"the disk of {log} is full in {full:.1f} days"
