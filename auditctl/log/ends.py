"""The ends of an audit log: its size, and when its first and its last event were written. Reads two pieces, whatever the size."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from auditctl.log.descriptors import read_at
from auditctl.system import READ_ONLY, open_flag

_HEAD_BYTES = 64 << 10
_TAIL_BYTES = (
    1 << 20
)  # an event with bodies may take a megabyte (--audit-log-truncate-max-event-size is 100 KiB, but off)


class LogEnds(NamedTuple):
    """Sizes in bytes. ``first`` and ``last`` are None where no event with a time is found there."""

    size_bytes: int
    modified: float
    first: datetime | None
    last: datetime | None


def read_ends(path: Path) -> LogEnds | None:
    """Return the ends of the log at ``path``; None where there is no such file, or it may not be read."""
    try:
        descriptor = os.open(path, READ_ONLY | open_flag("O_NONBLOCK"))
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        head = read_at(descriptor, _HEAD_BYTES, 0).splitlines()
        tail = read_at(descriptor, _TAIL_BYTES, max(status.st_size - _TAIL_BYTES, 0)).splitlines()
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return LogEnds(status.st_size, status.st_mtime, _first_time(head), _first_time(reversed(tail)))


def _first_time(lines: Iterable[bytes]) -> datetime | None:
    return next((time for line in lines if (time := event_time(line)) is not None), None)


def event_time(line: bytes) -> datetime | None:
    """Return when the event of a line was written: JSON, or ``TIME AUDIT: ...`` of ``--audit-log-format=legacy``."""
    text = ""
    if line.startswith(b"{"):
        try:
            event = json.loads(line)
        except ValueError:
            return None
        text = str(event.get("stageTimestamp") or event.get("requestReceivedTimestamp") or "")
    elif b" AUDIT: " in line[:64]:
        text = line.split(b" ", 1)[0].decode(errors="replace")
    return utc_time(text)


def utc_time(text: str) -> datetime | None:
    """Return the time that RFC 3339 text in UTC names, to the second; None for any other text."""
    try:
        return datetime.fromisoformat(f"{text[:19]}+00:00") if text.endswith(("Z", "+00:00")) else None
    except ValueError:
        return None
