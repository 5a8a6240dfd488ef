"""``lab check --wants FILE``: grade this node by the requirements of a lab author's own file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from auditctl.findings import Check, Status, Verification
from auditctl.lab.grading import requirements
from auditctl.lab.grading.grade import grade
from auditctl.node.change import files
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import ManifestChange, Outcome, Report

CANNOT_TELL = 3


def grade_file(plane: ControlPlane, path: Path) -> Report:
    """Exit code 0: every requirement is met; 1: one is not; 3: one cannot be told.

    Raises:
        RefusedError: the file cannot be read, or is no list of requirements.
    """
    raw = files.read_following(path, "requirements")
    wants = requirements.read_text(raw.decode(errors="replace"), str(path))
    return report_of(plane, grade(plane, wants))


def report_of(plane: ControlPlane, checks: Sequence[Check]) -> Report:
    """The verdict: the first requirement that is not met is the summary."""
    verification = Verification(tuple(checks))
    manifest = ManifestChange(path=str(plane.manifest_path))
    failed = [check for check in checks if check.status is Status.FAILED]
    if failed:
        met = sum(check.status is Status.PASSED for check in checks)
        text = f"not yet, {met} of {len(checks)} are met: {failed[0].name}: {failed[0].detail}"
        return Report(
            command="lab check", outcome=Outcome.NEGATIVE, summary=text, manifest=manifest, verification=verification
        )
    unknown = [check for check in checks if check.status is Status.UNKNOWN]
    if unknown:
        text = f"cannot tell: {unknown[0].name}: {unknown[0].detail}"
        return Report(
            command="lab check",
            outcome=Outcome.REFUSED,
            summary=text,
            manifest=manifest,
            code=CANNOT_TELL,
            verification=verification,
        )
    text = f"solved: all {len(checks)} requirements are met"
    return Report(
        command="lab check", outcome=Outcome.UNCHANGED, summary=text, manifest=manifest, verification=verification
    )
