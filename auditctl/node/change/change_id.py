"""Make the ids of changes: they sort by time, so that the order of the folders is that of the changes."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from auditctl.compatibility import UTC
from auditctl.node.clock import Clock

_STAMP_LENGTH = len("20261121T220849123Z")


def new_id(clock: Clock, last: str) -> str:
    """Return a new id that sorts behind ``last`` ("": the first), even where the clock was set back."""
    stamp = _stamp(clock.utc())
    if stamp <= last[:_STAMP_LENGTH]:
        try:
            before = datetime.strptime(last[: _STAMP_LENGTH - 1] + "000", "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)
            stamp = _stamp(before + timedelta(milliseconds=1))
        except (ValueError, OverflowError):
            pass  # a folder of another's making
    return f"{stamp}-{secrets.token_hex(2)}"


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03d}Z"
