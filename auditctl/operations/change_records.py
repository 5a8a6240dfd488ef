"""Report records of earlier changes that cannot be read; they refuse every new change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from auditctl.errors import RefusedError
from auditctl.findings import Finding, Severity
from auditctl.operations.controlplane import ControlPlane


def damaged(plane: ControlPlane) -> Iterator[Finding]:
    """Yield an error for each such record; none where the state directory itself may not be read."""
    with suppress(RefusedError):
        for folder in plane.state.unreadable():
            text = f"{folder}: this version cannot read this record of a change (damaged, or of a newer version)"
            fix = "use the version that wrote it, or move it out of that directory if its change is settled"
            yield Finding(check="state-unreadable", severity=Severity.ERROR, message=text, fix=fix)
