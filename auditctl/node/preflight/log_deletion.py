"""Find the rotated log files that the API server would delete because of a change.

The rules are those of gopkg.in/natefinch/lumberjack.v2 v2.2.1 (oldLogFiles, millRunOnce), which the API server uses. It
deletes at its first write after a start, with the limits that are in force then: first beyond the number of files, where
a file and its compressed copy count once, then by the age that the *name* gives. Files with other names are not touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from auditctl.facts import audit_flags
from auditctl.findings import Finding
from auditctl.manifest.pod import Manifest
from auditctl.node.logfiles import RotatedFile, rotated_files
from auditctl.settings import MAXAGE_FLAG, MAXBACKUP_FLAG, MAXSIZE_FLAG

_MEBIBYTE = 1 << 20
_SIZE_OF_ZERO = 100  # up to 1.35 a size of 0 is lumberjack's own default; from 1.36 on it never rotates
_ZERO_NEVER_ROTATES = (1, 36)


class RotationLimits(NamedTuple):
    """What the API server keeps. 0 days or files: all of them; 0 bytes: the log is never rotated."""

    maxage_days: int
    maxbackup_files: int
    maxsize_bytes: int

    @classmethod
    def of(cls, manifest: Manifest) -> RotationLimits:
        """Return the limits that a manifest sets, with the defaults of its version for the rest."""
        days, files, megabytes = (_number(manifest, flag) for flag in (MAXAGE_FLAG, MAXBACKUP_FLAG, MAXSIZE_FLAG))
        if megabytes == 0 and (manifest.version or _ZERO_NEVER_ROTATES) < _ZERO_NEVER_ROTATES:
            megabytes = _SIZE_OF_ZERO
        return cls(days, files, megabytes * _MEBIBYTE)


class LogSettings(NamedTuple):
    """One manifest and the host path of its log, None where it writes none."""

    manifest: Manifest
    log: Path | None


def findings(before: LogSettings, after: LogSettings, now: datetime) -> Iterator[Finding]:
    """Yield an error that says how many rotated files would go, and how old they are."""
    if after.log is None:
        return
    rotated = _with_next_rotation(rotated_files(after.log), after, now)
    limits = RotationLimits.of(after.manifest)
    lost = _deleted(rotated, limits, now)
    if before.log == after.log:  # what the limits of today delete anyway is not this change's doing
        today = _with_next_rotation(rotated_files(after.log), before, now)
        lost -= _deleted(today, RotationLimits.of(before.manifest), now)
    lost &= {one for one in rotated if one.path != after.log}
    if lost:
        yield _finding(after.log, sorted(lost), len(rotated), limits, now)


def _number(manifest: Manifest, name: str) -> int:
    """Return a flag's value as a number; 0 (no limit) for what is none: such a server does not start."""
    text = manifest.flag(name)
    if text is None:
        text = audit_flags()[name].default(manifest.version or (99, 0, 0))
    with suppress(ValueError):
        return max(int(text, 0), 0)
    return 0


def _with_next_rotation(rotated: list[RotatedFile], settings: LogSettings, now: datetime) -> list[RotatedFile]:
    """Return the rotated files once a log that has reached its size is rotated, as the first write does."""
    limit, log = RotationLimits.of(settings.manifest).maxsize_bytes, settings.log
    with suppress(OSError):
        if log is not None and limit and log.stat().st_size >= limit:
            return [*rotated, RotatedFile(now, log)]
    return rotated


def _deleted(rotated: Sequence[RotatedFile], limits: RotationLimits, now: datetime) -> set[RotatedFile]:
    """Return what lumberjack's millRunOnce removes."""
    newest_first = sorted(rotated, reverse=True)
    names = list(dict.fromkeys(one.path.name.removesuffix(".gz") for one in newest_first))
    kept = set(names[: limits.maxbackup_files] if limits.maxbackup_files else names)
    oldest = now - timedelta(days=limits.maxage_days)
    return {
        one
        for one in newest_first
        if one.path.name.removesuffix(".gz") not in kept or (limits.maxage_days and one.at < oldest)
    }


def _finding(log: Path, lost: list[RotatedFile], count: int, limits: RotationLimits, now: datetime) -> Finding:
    settings = ((MAXAGE_FLAG, limits.maxage_days), (MAXBACKUP_FLAG, limits.maxbackup_files))
    because = " and ".join(f"--{name}={value}" for name, value in settings if value)
    oldest, newest = lost[0], lost[-1]
    ages = [f"{one.at:%Y-%m-%d} ({max((now - one.at).days, 0)} days old)" for one in dict.fromkeys((oldest, newest))]
    noun = "file" if len(lost) == 1 else "files"
    text = (
        f"the API server would delete {len(lost)} of {count} rotated {noun} of {log} because of {because}: "
        f"{' to '.join(ages)}; auditctl cannot bring them back"
    )
    fix = "copy them elsewhere, or keep them with larger values; to let them go: --allow log-deletion"
    return Finding.error("log-deletion", text, fix)
