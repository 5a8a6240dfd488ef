"""How long a backend in batch mode may hold an event before it writes it."""

from __future__ import annotations

from math import inf

from auditctl.durations import parse
from auditctl.facts import audit_flags
from auditctl.manifest.pod import Manifest


def batch_seconds(manifest: Manifest, backend: str) -> float:
    """Return how much later than it happens an event may be written: 0, or the batch's longest wait.

    Without such a wait a batch is written when it is full, whenever that is (plugin/buffered/buffered.go collectEvents).
    """
    if _effective(manifest, f"audit-{backend}-mode") != "batch":
        return 0.0
    size, wait = (_effective(manifest, name) for name in _batch_flags(backend))
    try:
        return 0.0 if int(size, 0) <= 1 else parse(wait) or inf
    except ValueError:
        return 0.0


def held(manifest: Manifest, backend: str) -> str:
    """Return a sentence on why an event may come later."""
    size, wait = _batch_flags(backend)
    if batch_seconds(manifest, backend) == inf:
        return f"events are written when {_effective(manifest, size)} of them have come (--{size}, no --{wait})"
    return f"events are written up to {_effective(manifest, wait)} later (--{wait})"


def _batch_flags(backend: str) -> tuple[str, str]:
    return f"audit-{backend}-batch-max-size", f"audit-{backend}-batch-max-wait"


def _effective(manifest: Manifest, name: str) -> str:
    value = manifest.flag(name)
    return audit_flags()[name].default(manifest.version) if value is None else value
