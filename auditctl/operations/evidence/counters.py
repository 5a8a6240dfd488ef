"""What the API server counts of its auditing, and what that means together with the log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from auditctl.errors import RefusedError
from auditctl.findings import Check, Finding, Status
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver import metrics
from auditctl.node.apiserver.metrics import Counters
from auditctl.operations.controlplane import ControlPlane

_MEANING = {
    "log": "could not be written to the log (disk full, read-only, or no right to write)",
    "webhook": "were given up by the webhook backend after its own retries",
    "buffered": "were dropped because the batch buffer was full",
    "truncate": "were too big for the backend and were dropped or cut",
}
_FIXES = {
    "log": "make room on the file system of the log (df -h), then: auditctl verify",
    "webhook": "look at the receiver, and at --audit-webhook-* of `auditctl flags`",
    "buffered": "raise --audit-log-batch-buffer-size or --audit-webhook-batch-buffer-size, or record less",
    "truncate": "see --audit-log-truncate-* and --audit-webhook-truncate-* of `auditctl flags`",
}


class Memory:
    """What a repeated look remembers of the one before, for rates."""

    def __init__(self) -> None:
        self._last: tuple[Counters, float] | None = None

    def before(self, counters: Counters, now_seconds: float) -> tuple[Counters, float] | None:
        """Return the counters of the look before and their age in seconds; keep these for the next look."""
        last, self._last = self._last, (counters, now_seconds)
        return (last[0], now_seconds - last[1]) if last is not None else None


def read(plane: ControlPlane, manifest: Manifest) -> Counters | None:
    """Return the counters of this node's own instance; None where they cannot be had."""
    try:
        return metrics.read(plane.endpoint(manifest), plane.credentials())
    except RefusedError:
        return None


def findings(counters: Counters, *, enabled: bool) -> Iterator[Finding]:
    """Yield what the counters complain of; ``enabled``: the manifest switches auditing on."""
    for plugin, number in sorted(counters.errors.items()):
        if number:
            text = f"{number} audit events {_MEANING.get(plugin, f'were lost by the plugin {plugin}')}, since this API server started"
            yield Finding.warning("events-lost", text, _FIXES.get(plugin, "auditctl doctor"))
    if counters.rejected:
        text = f"{counters.rejected} requests were answered 500 because their event could not be recorded (blocking-strict)"
        yield Finding.warning("requests-rejected", text, "auditctl enable --set audit-log-mode=blocking")
    if enabled and not counters.auditing:
        text = "the running API server counts no audit levels: it evaluates no policy, whatever the manifest says"
        yield Finding.warning("not-auditing", text, "auditctl restart")


def check(before: Counters | None, after: Counters | None) -> Iterator[Check]:
    """Yield whether events were lost during a proof; nothing where the counters cannot be had."""
    if before is None or after is None or after.events < before.events:
        return
    lost = {name: number - before.errors.get(name, 0) for name, number in after.errors.items()}
    lost = {name: number for name, number in lost.items() if number > 0}
    if lost:
        words = "; ".join(f"{number} events {_MEANING.get(name, f'lost by {name}')}" for name, number in lost.items())
        yield Check("events-lost", Status.FAILED, f"during the proof {words}")
    else:
        counted = after.events - before.events
        noun = "event" if counted == 1 else "events"
        yield Check("events-lost", Status.PASSED, f"{counted} {noun} counted meanwhile, none lost")


def lines(counters: Counters, before: tuple[Counters, float] | None = None) -> Iterator[str]:
    """Yield the counters for people; with those of some seconds ago (and those seconds), rates as well."""
    if not counters.auditing:
        yield "since start: no request was audited (the API server evaluates no audit policy)"
        return
    requests = ", ".join(
        f"{number} {'not audited' if name == 'None' else f'at {name}'}"
        for name, number in sorted(counters.levels.items())
    )
    yield f"since start: {_events(counters.events)} written; requests: {requests}{_rates(counters, before)}"
    lost = ", ".join(f"{plugin} {number}" for plugin, number in sorted(counters.errors.items()) if number)
    if lost or counters.rejected:
        yield f"lost: {lost or 'none'}; requests refused: {counters.rejected}"


def _events(number: int) -> str:
    return f"{number} event{'' if number == 1 else 's'}"


def row(counters: Counters | None) -> dict[str, Any] | None:
    """Return the account for ``-o json``."""
    if counters is None:
        return None
    return {
        "eventTotal": counters.events,
        "errorTotal": dict(counters.errors),
        "levelTotal": dict(counters.levels),
        "requestsRejectedTotal": counters.rejected,
    }


def _rates(counters: Counters, before: tuple[Counters, float] | None) -> str:
    if before is None or before[1] <= 0 or counters.events < before[0].events:
        return ""  # the first look, or another process meanwhile
    events = (counters.events - before[0].events) / before[1]
    requests = (sum(counters.levels.values()) - sum(before[0].levels.values())) / before[1]
    return f"; now {events:.1f} events/s of {requests:.1f} requests/s"
