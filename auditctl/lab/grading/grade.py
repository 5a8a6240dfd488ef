"""The grader: does a node meet requirements? Judged by what its server would do, never by the text of a file.

The kinds of requirements, and how they are written, are in `requirements`. A check that fails says which requirement is
not met and what was observed; never how to meet it, for that is the exercise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditctl.errors import ManifestError, RefusedError
from auditctl.findings import Check
from auditctl.lab.grading import requirements
from auditctl.lab.grading.requirement_kind import Requirement
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence.running_server import Running


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
