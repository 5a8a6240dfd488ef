"""``recover``: finish or undo an interrupted change, and nothing else."""

from __future__ import annotations

from auditctl.findings import Verification
from auditctl.operations.change.session import session
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import ManifestChange, Outcome, Report


def recover(plane: ControlPlane) -> Report:
    """Finish or undo every interrupted change; return the report of what was done.

    Raises:
        StrandedError: one of them could be neither finished nor undone.
    """
    with session(plane, "recover") as opened:
        findings = opened.recovered
    changed = any(finding.check == "interrupted-change" for finding in findings)
    return Report(
        command="recover",
        outcome=Outcome.CHANGED if changed else Outcome.UNCHANGED,
        summary=findings[-1].message if findings else "no change was interrupted",
        manifest=ManifestChange(path=str(plane.manifest_path)),
        changed=changed,
        findings=findings,
        verification=Verification(),
    )
