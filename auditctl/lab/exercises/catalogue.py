"""Exercises: faults to find and tasks to do, as data in ``templates/lab/{faults,tasks}/NAME.yaml``. One format for both.

What a learner sees, what the engine does, what a grader wants::

    title: The rotation setting        # in `lab list`; never the answer
    difficulty: 2                      # 1 to 3
    ids: [F19]                         # of the catalogue of failures; a fault has at least one
    story: |                           # a fault: what somebody who knows nothing of its cause would tell
      ...
    task: |                            # a task, in its place: what is to be done
      ...
    touches: [PATH, ...]               # what else may change: paths that no step names
    where: lab                         # left out: on every node; lab: only on a practice node
    needs: [STEP, ...]                 # brings the node to the state in which the exercise begins; nothing: as it is
    start: [STEP, ...]                 # a fault: what breaks it. Without a word to the learner
    symptom: crash-looping             # a fault: the state that `doctor` sees then (`node.diagnosis.State`);
                                       # serving: it is ready, and unknown: nobody listens, whatever the manifest says
    hints: [TEXT, ...]                 # from vague to nearly the solution
    doctor: {check: flag-unknown, fix: true}   # the finding that names the cause; `doctor --fix` repairs it (default false)
    solution: [STEP, ...]              # one way to do it
    wants: [REQUIREMENT, ...]          # when it is done (`requirements`)

A fault has all of them but `task`, `touches`, `where` and `needs`; a task needs `title`, `difficulty`, `task` and `wants`.
The steps are in `exercise_steps`. Names of faults and tasks are one namespace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import Enum
from functools import cache
from typing import NamedTuple

from auditctl import facts
from auditctl.errors import AuditctlError, RefusedError
from auditctl.lab.exercises.step_kind import ExerciseStep
from auditctl.lab.exercises.steps import read_steps
from auditctl.lab.grading import requirements
from auditctl.lab.grading.fields import Fields, RequirementError
from auditctl.manifest.document import load as load_yaml
from auditctl.node.kubelet.diagnosis import ServerState

_SUFFIX = ".yaml"
_KEYS = frozenset(
    "title difficulty ids story task touches where needs start symptom hints doctor solution wants".split()  # noqa: SIM905
)
_HARDEST = 3


class ExerciseKind(Enum):
    """What is asked of the learner; the value is the folder's name without its plural."""

    FAULT = "fault"
    TASK = "task"


class DoctorVerdict(NamedTuple):
    """What `doctor` says of a fault: the check whose finding names the cause, and whether ``--fix`` repairs it."""

    check: str
    fix: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Exercise:
    """An exercise: a fault to repair, or a task to solve (without ``symptom`` and ``doctor``)."""

    name: str
    kind: ExerciseKind
    title: str
    difficulty: int
    text: str
    wants: tuple[Mapping[str, object], ...]
    ids: tuple[str, ...] = ()
    touches: tuple[str, ...] = ()
    only_lab: bool = False
    needs: tuple[ExerciseStep, ...] = ()
    start: tuple[ExerciseStep, ...] = ()
    symptom: ServerState | None = None
    hints: tuple[str, ...] = ()
    doctor: DoctorVerdict | None = None
    solution: tuple[ExerciseStep, ...] = ()

    @property
    def steps(self) -> tuple[ExerciseStep, ...]:
        """Return every step, in the order in which an exercise may come to it."""
        return (*self.needs, *self.start, *self.solution)


@cache
def names() -> Mapping[str, ExerciseKind]:
    """Return every name with its kind, sorted, faults first."""
    return {name: kind for kind in ExerciseKind for name in sorted(_names_of(kind))}


def load(name: str) -> Exercise:
    """Return the exercise of that name.

    Raises:
        RefusedError: there is none (the nearest name is the next step), or its file is wrong.
    """
    if name not in names():
        near = get_close_matches(name, names(), n=1)
        fix = f"did you mean {near[0]!r}?" if near else "auditctl lab list"
        raise RefusedError(f"no exercise {name!r} ships with auditctl", check="exercise-name", fix=fix)
    kind = names()[name]
    text = facts.template("lab", f"{kind.value}s", name + _SUFFIX).read_text(encoding="utf-8")
    return read(name, kind, text)


def everything() -> Iterator[Exercise]:
    """Return all exercises, faults first."""
    return (load(name) for name in names())


def read(name: str, kind: ExerciseKind, text: str) -> Exercise:
    """Read an exercise from its YAML.

    Raises:
        RequirementError: something in it is wrong; the message says what and where.
    """
    try:
        value = load_yaml(text, name)
    except AuditctlError as error:
        raise RequirementError(f"{name}: no YAML: {error.message}", check="exercise") from error
    given = Fields(name, value)
    if not isinstance(value, Mapping):
        raise given.error("a mapping is needed")
    if unknown := sorted(set(value) - _KEYS):
        raise given.error(f"{unknown[0]!r} is not a key of an exercise")
    wants = value.get("wants")
    if not isinstance(wants, list):
        raise given.error("'wants' is to be a list of requirements")
    requirements.read(wants)
    exercise = _of_both(name, kind, given, tuple(wants))
    return exercise if kind is ExerciseKind.TASK else _as_fault(exercise, given)


def _of_both(name: str, kind: ExerciseKind, given: Fields, wants: tuple[Mapping[str, object], ...]) -> Exercise:
    difficulty = given.scalar("difficulty")
    if difficulty not in {str(number) for number in range(1, _HARDEST + 1)}:
        raise given.error(f"'difficulty' is 1 to {_HARDEST}, not {difficulty!r}")
    return Exercise(
        name=name,
        kind=kind,
        title=given.text("title"),
        difficulty=int(difficulty),
        text=given.text("story" if kind is ExerciseKind.FAULT else "task"),
        wants=wants,
        ids=given.texts("ids") if given.has("ids") else (),
        touches=given.texts("touches") if given.has("touches") else (),
        only_lab=given.has("where") and given.text("where") == "lab",
        needs=read_steps(given, "needs"),
        start=read_steps(given, "start"),
        hints=given.texts("hints") if given.has("hints") else (),
        solution=read_steps(given, "solution"),
    )


def _as_fault(exercise: Exercise, given: Fields) -> Exercise:
    for key in ("ids", "start", "hints", "solution"):
        if not given.has(key):
            raise given.error(f"a fault needs {key!r}")
    doctor = Fields(f"{given.where}: doctor", given.value["doctor"]) if given.has("doctor") else None  # type: ignore[index]
    if doctor is None:
        raise given.error("a fault needs 'doctor'")
    symptom = given.text("symptom")
    states = {state.name.lower().replace("_", "-"): state for state in ServerState}
    if symptom not in states:
        raise given.error(f"{symptom!r} is not a state of a node", f"one of {', '.join(states)}")
    named = DoctorVerdict(doctor.text("check"), bool(doctor.maybe_truth("fix")))
    return replace(exercise, symptom=states[symptom], doctor=named)


def _names_of(kind: ExerciseKind) -> Iterator[str]:
    folder = facts.template("lab", f"{kind.value}s")
    if folder.is_dir():
        yield from (entry.name.removesuffix(_SUFFIX) for entry in folder.iterdir() if entry.name.endswith(_SUFFIX))
