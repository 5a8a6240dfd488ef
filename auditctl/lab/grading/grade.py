"""Grade a node by requirements, also by those of a lab author's own file (``lab check --wants FILE``).

A node is judged by what its server would do, never by the text of a file.

The kinds of requirements, and how they are written, are in `requirements`. A check that fails says which requirement is
not met and what was observed; never how to meet it, for that is the exercise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from auditctl.errors import ManifestError, RefusedError
from auditctl.findings import Check, Status, Verification
from auditctl.lab.grading import requirements
from auditctl.lab.grading.requirement_kind import Requirement
from auditctl.node.change import files
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence.running_server import Running
from auditctl.report import ManifestChange, Outcome, Report


def grade(plane: ControlPlane, wants: Sequence[Mapping[str, object]]) -> tuple[Check, ...]:
    """Return one check for each of ``wants``, in their order. Nothing of the node is changed.

    Raises:
        RequirementError: a requirement is not one that can be graded.
        RefusedError: the manifest may not be read (root is needed).
    """
    required = requirements.read(wants)
    try:
        running = Running.look(plane, plane.read_manifest()[1])
    except RefusedError as error:
        if not isinstance(error, ManifestError) and error.check != "manifest-missing":
            raise
        return tuple(_without_manifest(plane, requirement, error) for requirement in required)
    return judged(running, required)


def judged(running: Running, required: Sequence[Requirement]) -> tuple[Check, ...]:
    """Return one check for each requirement, of a node that has been examined."""
    return tuple(_judged(running, requirement) for requirement in required)


def _judged(running: Running, requirement: Requirement) -> Check:
    try:
        return requirement.judge(running)
    except ManifestError as error:  # a server may still run, although a path of the manifest leads nowhere by now
        return _without_manifest(running.plane, requirement, error)


def _without_manifest(plane: ControlPlane, requirement: Requirement, error: RefusedError) -> Check:
    if (check := requirement.judge_files(plane)) is not None:
        return check
    if error.check == "manifest-missing":
        return requirement.failed("there is no manifest of the API server")
    place = f" (line {error.place.line})" if error.place and error.place.line else ""
    return requirement.failed(f"the manifest cannot be read as a Pod of the API server{place}")


CANNOT_TELL = 3


def grade_file(plane: ControlPlane, path: Path) -> Report:
    """Grade by the requirements of a file; exit code 0: all met, 1: one is not, 3: one cannot be told.

    Raises:
        RefusedError: the file cannot be read, or is not a list of requirements.
    """
    raw = files.read_following(path, "requirements")
    wants = requirements.read_text(raw.decode(errors="replace"), str(path))
    return report_of(plane, grade(plane, wants))


def report_of(plane: ControlPlane, checks: Sequence[Check]) -> Report:
    """Return the verdict; its summary is the first requirement that is not met."""
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
