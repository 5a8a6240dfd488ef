"""The reader of audit events that this installation has: msgspec's, else the standard library's."""

from __future__ import annotations

from auditctl.log.events import Reader


def reader() -> Reader:
    """Return the quicker of the two that is installed."""
    try:
        from auditctl.log.events_msgspec import READER
    except ImportError:
        from auditctl.log.events_json import READER as SLOWER

        return SLOWER
    return READER
