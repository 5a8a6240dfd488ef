"""One line an event for people, and the stages of a request as one line."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from auditctl.compatibility import datetime_of
from auditctl.log.events import FullEvent
from auditctl.log.redaction import redacted_uri

_RECEIVED = "RequestReceived"
_STARTED = "ResponseStarted"
_SHORT = {"None": "N", "Metadata": "M", "Request": "R", "RequestResponse": "RR"}
_RESET, _RED, _YELLOW, _GREEN, _CYAN, _DIM = "\x1b[0m", "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[36m", "\x1b[2m"
_MOST_HELD = 20_000


class Fold:
    """Holds the first event of a request until the next one comes: that one says all that the first did."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, tuple[FullEvent, float]] = OrderedDict()

    def take(self, event: FullEvent, now: float) -> Iterator[FullEvent]:
        """Yield the events to print. ``now`` is any clock's seconds; ``overdue`` compares with it."""
        if event.stage != _RECEIVED:
            self._held.pop(event.audit_id, None)
            yield event
            return
        held = self._held.pop(event.audit_id, None)
        if held is not None:  # Audit-IDs are the callers' to choose
            yield held[0]
        self._held[event.audit_id] = (event, now)
        if len(self._held) > _MOST_HELD:
            yield self._held.popitem(last=False)[1][0]

    def overdue(self, before: float) -> Iterator[FullEvent]:
        """Yield those held since before a time: still being answered, and not to be kept from the reader any longer."""
        while self._held and next(iter(self._held.values()))[1] <= before:
            yield self._held.popitem(last=False)[1][0]


def header(*, wide: bool = False) -> str:
    """Return the names of the columns."""
    names = f"{'TIME (UTC)':23}  {'LV':2}  {'CODE':>3} {'LATENCY':>7}  {'USER':32}  {'VERB':8}  "
    return names + (f"{'SOURCE':15}  {'AUDIT-ID':36}  {'AGENT':24}  OBJECT" if wide else "OBJECT")


def line(event: FullEvent, *, colour: bool = False, wide: bool = False) -> str:
    """Return time (UTC, as --since takes it), level, code, latency, who, verb, what, where.

    ``wide``: also the client's address, the audit ID and the user agent. Foreign control characters are escaped.
    """
    code, latency = _code(event), _latency(event)
    who = event.user.username or "nobody"
    if event.impersonated_user is not None:
        who += f" as {event.impersonated_user.username}"
    note = _note(event)
    stamp = f"{printable((event.stage_timestamp or '?')[:23].replace('T', ' ')):23}"
    cells = (
        stamp,
        f"{printable(_SHORT.get(event.level, event.level)):2}",
        f"{code:>3}",
        f"{latency:>7}",
        f"{printable(who):32}",
        f"{printable(event.verb):8}",
    )
    target = (_more(event) if wide else "") + printable(_target(event)) + note
    if not colour:
        return "  ".join((*cells, target))
    stamp, level, code_cell, latency_cell, who_cell, verb_cell = cells
    painted = (
        f"{_DIM}{stamp}{_RESET}", level, f"{_colour(code)}{code_cell}{_RESET}", f"{_DIM}{latency_cell}{_RESET}",
        f"{_CYAN}{who_cell}{_RESET}", f"{_YELLOW if event.verb not in ('get', 'list', 'watch') else ''}{verb_cell}{_RESET}",
    )  # fmt: skip
    return "  ".join((*painted, target))


def printable(text: str) -> str:
    """Return the text without characters that a terminal would obey."""
    return (
        text if text.isprintable() else "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)
    )


def _more(event: FullEvent) -> str:
    source = ",".join(event.source_ips or ())
    return f"{printable(source):15}  {printable(event.audit_id):36}  {printable(event.user_agent):24}  "


def _colour(code: str) -> str:
    return {"2": _GREEN, "1": _GREEN, "4": _RED, "5": _RED}.get(code[:1], _DIM)


def _code(event: FullEvent) -> str:
    return (
        str(event.response_status.code) if event.response_status is not None and event.response_status.code else "..."
    )


def _note(event: FullEvent) -> str:
    match event.stage:
        case "RequestReceived":
            return "  (received)"
        case "ResponseStarted" if event.user.username:
            return "  (started)"
        case "Panic":
            return "  (panic)"
    status = event.response_status
    if status is not None and status.code >= 400 and status.message:
        return f"  {printable(status.message[:100])}"
    return ""


def _target(event: FullEvent) -> str:
    reference = event.object_ref
    if reference is None or not reference.resource:
        return redacted_uri(event.request_uri) if "?" in event.request_uri else event.request_uri
    target = reference.resource
    target += f"/{reference.subresource}" if reference.subresource else ""
    target += f".{reference.api_group}" if reference.api_group else ""
    target += f" {reference.name}" if reference.name else ""
    return target + (f" in {reference.namespace}" if reference.namespace else "")


def _latency(event: FullEvent) -> str:
    begun, ended = event.request_received_timestamp, event.stage_timestamp
    if event.stage == _RECEIVED or not begun or not ended:
        return ""
    try:
        seconds = (datetime_of(ended) - datetime_of(begun)).total_seconds()
    except ValueError:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds:.1f}s" if seconds < 100 else f"{seconds / 60:.0f}m"
