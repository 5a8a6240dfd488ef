"""Bytes of events at another level: what is recorded at a higher one is cut away exactly (`apiserver/pkg/audit/request.go`)."""

from __future__ import annotations

from typing import NamedTuple

from auditctl.policy.types import Level

_REQUEST_KEY_BYTES = len(',"requestObject":')
_RESPONSE_KEY_BYTES = len(',"responseObject":')
_LEVELS = {level.value: level for level in Level}


class EventVolume(NamedTuple):
    """Sums over events of one recorded level. The bodies' bytes are without their keys; ``managed`` is in them."""

    events: int = 0
    bytes: int = 0
    requests: int = 0
    request_bytes: int = 0
    responses: int = 0
    response_bytes: int = 0
    request_managed_bytes: int = 0
    response_managed_bytes: int = 0


def level_of(text: str) -> Level:
    """Return the level that an event names. One that no server writes counts as the lowest that is written."""
    return _LEVELS.get(text, Level.METADATA)


def bytes_at(volume: EventVolume, recorded: Level, level: Level, *, without_managed: bool = False) -> int:
    """Return what these events would take at ``level``; of a level above the recorded one, what is known of it.

    ``without_managed``: managed fields are left out of the bodies (omitManagedFields).
    """
    if level is Level.NONE:
        return 0
    total = volume.bytes + volume.events * (len(level.value) - len(recorded.value))
    if level < Level.REQUEST:
        total -= volume.request_bytes + volume.requests * _REQUEST_KEY_BYTES
    elif without_managed:
        total -= volume.request_managed_bytes
    if level < Level.REQUEST_RESPONSE:
        total -= volume.response_bytes + volume.responses * _RESPONSE_KEY_BYTES
    elif without_managed:
        total -= volume.response_managed_bytes
    return total
