"""Exercises played on a node: begin one, a hint, a verdict, its solution, and all of it taken back. Each returns a Report."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import NamedTuple

from auditctl.errors import AuditctlError, InterruptionError, RefusedError, StrandedError, UsageError
from auditctl.lab.exercises import catalogue
from auditctl.lab.exercises import verdict as watch
from auditctl.lab.exercises.catalogue import Exercise, ExerciseKind
from auditctl.lab.exercises.exercise_report import exercise_details, exercise_report
from auditctl.lab.exercises.outgoing_server import OutgoingServer
from auditctl.lab.exercises.reset import ResetResult, give_back
from auditctl.lab.exercises.step_kind import Places, StepTarget
from auditctl.lab.exercises.steps import kept_places, perform, starts_server
from auditctl.lab.exercises.store import ExercisePhase, ExerciseRecord, ExerciseStore, alone
from auditctl.lab.exercises.target_node import PracticeNode, permit
from auditctl.node.change.signals import deferred
from auditctl.node.kubelet.diagnosis import ServerState
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import AcceptAll, ControlPlane, Silence
from auditctl.report import Outcome, Report


class BreakOptions(NamedTuple):
    """What `lab break` was given: a name, or a fault drawn by ``seed`` (None: any)."""

    name: str | None
    seed: int | None
    confirmed: bool
    timeout_seconds: float


def begin(ground: PracticeNode, choice: BreakOptions) -> Report:
    """Bring the node to where an exercise begins, and tell its story; never its cause.

    Raises:
        RefusedError: no such exercise, one is open, or not on this node; nothing was changed.
    """
    permit(ground, confirmed=choice.confirmed)
    exercise, seed = _chosen(ground, choice)
    if exercise.only_lab and ground.layout is None:
        text = f"the exercise {exercise.name!r} is for a practice node alone"
        raise RefusedError(text, check="lab-node", fix="auditctl lab up")
    desk = ground.desk
    with alone(desk, making=True):
        if (open_one := desk.record()) is not None:
            text = f"an exercise is open on this node ({open_one.spoken})"
            raise RefusedError(text, check="lab-open", fix=f"{ground.words} lab reset")
        return _begun(ground, exercise, seed, choice)


def _chosen(ground: PracticeNode, choice: BreakOptions) -> tuple[Exercise, int | None]:
    """Return the exercise that was named; else one drawn, with the seed that draws it again."""
    if choice.name is not None:
        if choice.seed is not None:
            raise UsageError("--seed draws an exercise, so no name goes with it")
        return catalogue.load(choice.name), None
    seed = secrets.randbelow(10_000) if choice.seed is None else choice.seed
    faults = [one for one in catalogue.everything() if one.kind is ExerciseKind.FAULT]
    fitting = [one for one in faults if ground.layout is not None or not one.only_lab]
    return random.Random(seed).choice(fitting), seed  # noqa: S311 (a draw of lots, not a secret)


def _begun(ground: PracticeNode, exercise: Exercise, seed: int | None, choice: BreakOptions) -> Report:
    plane, desk = ground.plane, ground.desk
    if plane.state.is_locked():
        text = f"{plane.state.lock}: {plane.state.holder()} is changing this node now"
        raise RefusedError(text, check="lock-held", fix="wait until it has finished, then run the command again")
    server = watch.serving(plane)
    places = Places.of(plane)
    record = ExerciseRecord(
        name=exercise.name,
        phase=ExercisePhase.BEGINNING,
        seed=seed,
        server=server.identity,
        port=_port(plane),
        places=places._asdict(),
    )
    with deferred(plane.progress.step) as interrupted:
        desk.begin(record, *kept_places(plane, places, exercise.steps, exercise.touches))
        try:
            if not interrupted():
                places = _prepare(ground, exercise, choice)
            stopped = interrupted()
            reason = "interrupted" if stopped else ""
            if not reason:
                record = desk.write(replace(record, phase=ExercisePhase.OPEN, places=places._asdict()))
        except AuditctlError as error:
            reason = error.message
            stopped = interrupted() or isinstance(error, InterruptionError)
        if not reason:
            return _begun_report(ground, exercise, record)
        return _undone(ground, record, reason, choice, interrupted=stopped)


def _port(plane: ControlPlane) -> int:
    return plane.read_manifest()[1].secure_port


def _prepare(ground: PracticeNode, exercise: Exercise, choice: BreakOptions) -> Places:
    """Prepare the node for the exercise; return the files that its manifest names before the fault."""
    options = ChangeOptions(timeout_seconds=choice.timeout_seconds)
    quiet = ground._replace(plane=replace(ground.plane, progress=Silence(), reviewer=AcceptAll()))
    ground.plane.progress.step("preparing the node; `lab reset` gives your files back")
    for step in exercise.needs:
        perform(step, StepTarget(quiet, Places.of(ground.plane), options))
    places, before = Places.of(ground.plane), watch.serving(ground.plane)
    endpoint = ground.plane.endpoint(ground.plane.read_manifest()[1])
    if not exercise.start:
        return places
    with OutgoingServer(endpoint.port) as leaving:
        for step in exercise.start:
            perform(step, StepTarget(quiet, places, options))
        anew = before if starts_server(exercise.start) else None
        awaited = watch.AwaitedState(exercise.symptom or ServerState.SERVING, anew, endpoint)
        watch.wait(ground.plane, awaited, leaving, choice.timeout_seconds)
    return places


def _undone(
    ground: PracticeNode, record: ExerciseRecord, reason: str, choice: BreakOptions, *, interrupted: bool
) -> Report:
    try:
        back = _back(ground, record, choice.timeout_seconds)
    except RefusedError as error:
        text = f"the exercise could not begin: {reason}; and what it had done is not taken back: {error.message}"
        raise StrandedError(text, check=error.check, fix=f"{ground.words} lab reset") from error
    outcome = (Outcome.INTERRUPTED if interrupted else Outcome.ROLLED_BACK) if back.serves else Outcome.STRANDED
    text = f"the exercise could not begin: {reason}; every file is as it was{_served(back)}"
    return exercise_report(ground, "lab break", outcome, text)


def _begun_report(ground: PracticeNode, exercise: Exercise, record: ExerciseRecord) -> Report:
    subject = "a task" if exercise.kind is ExerciseKind.TASK else "something is wrong on this node"
    drawn = f" (drawn with --seed {record.seed})" if record.seed is not None else ""
    steps = tuple(f"{ground.words} lab {command}" for command in ("check", "hint", "reset"))
    report = exercise_report(
        ground, "lab break", Outcome.CHANGED, f"{subject}{drawn}: {exercise.title}", exercise, record
    )
    return replace(report, changed=True, lines=tuple(exercise.text.rstrip().splitlines()), next_steps=steps)


def hint(ground: PracticeNode, number: int | None) -> Report:
    """Show the next hint, or one that was given already.

    Raises:
        RefusedError: no exercise is open, or ``number`` is beyond the next.
    """
    with _at_desk(ground) as (desk, record, exercise):
        hints = exercise.hints
        if not hints:
            return exercise_report(
                ground, "lab hint", Outcome.UNCHANGED, "this exercise has no hints", exercise, record
            )
        reach = min(record.hints + 1, len(hints))
        shown = reach if number is None else number
        if not 1 <= shown <= reach:
            text = f"there is no hint {number} yet: {len(hints)} hints exist, you have seen {record.hints}"
            raise RefusedError(text, check="lab-hint", fix=f"{ground.words} lab hint")
        written = desk.write(replace(record, hints=max(record.hints, shown)))
        text = f"hint {shown} of {len(hints)}: {hints[shown - 1]}"
        steps = () if written.hints < len(hints) else (f"{ground.words} lab solve",)
        return replace(
            exercise_report(ground, "lab hint", Outcome.UNCHANGED, text, exercise, written), next_steps=steps
        )


def check(ground: PracticeNode) -> Report:
    """Judge the exercise. Exit 0: solved; 1: not yet; 3: it cannot be told. Say what is wrong, never why.

    Raises:
        RefusedError: no exercise is open.
    """
    record, exercise = _opened(ground)
    report = watch.verdict(ground.plane, exercise)
    solved = report.outcome is Outcome.UNCHANGED
    steps = (f"{ground.words} lab {'reset' if solved else 'hint'}",)
    return replace(report, next_steps=steps, details=exercise_details(exercise, record))


def solve(ground: PracticeNode, timeout_seconds: float) -> Report:
    """Do what solves it, and say what that was.

    Raises:
        RefusedError: no exercise is open, its solution is not kept, or it does not fit what the node has become.
    """
    with _at_desk(ground) as (desk, record, exercise), _finishing(ground):
        if not exercise.solution:
            text = "no solution of this exercise is kept: there is more than one"
            raise RefusedError(text, check="lab-solution", fix=f"{ground.words} lab hint")
        named = desk.write(replace(record, seed=None))  # its name is no secret any more
        target = StepTarget(ground, Places(**record.places), ChangeOptions(timeout_seconds=timeout_seconds))
        lines: list[str] = []
        with OutgoingServer(record.port) as leaving:
            for step in exercise.solution:
                try:
                    perform(step, target)
                except RefusedError as error:
                    if not lines:
                        raise
                    return _half_solved(ground, exercise, named, lines, error)
                lines.append(f"  {step.text(target.places)}")
            anew = starts_server(exercise.solution)
            verdict = watch.until_solved(ground.plane, exercise, leaving, timeout_seconds, anew=anew)
        outcome = Outcome.CHANGED if verdict.outcome is Outcome.UNCHANGED else Outcome.NEGATIVE
        report = exercise_report(ground, "lab solve", outcome, f"{exercise.name}: {verdict.summary}", exercise, named)
        steps = (f"{ground.words} lab reset",)
        return replace(report, changed=True, lines=tuple(lines), next_steps=steps, verification=verdict.verification)


def _half_solved(
    ground: PracticeNode, exercise: Exercise, record: ExerciseRecord, lines: Sequence[str], error: RefusedError
) -> Report:
    text = f"{exercise.name}: not solved: {error.message}; what was done before that stays"
    report = exercise_report(ground, "lab solve", Outcome.NEGATIVE, text, exercise, record)
    return replace(report, changed=True, lines=tuple(lines), next_steps=(f"{ground.words} lab reset",))


def reset(ground: PracticeNode, timeout_seconds: float) -> Report:
    """Give the node back what it was before the exercise, whatever has become of it since.

    Raises:
        RefusedError: nothing could be read or written.
    """
    desk = ground.desk
    if desk.record() is None:
        return exercise_report(ground, "lab reset", Outcome.UNCHANGED, "no exercise is open on this node")
    with alone(desk), _finishing(ground):
        if (record := desk.record()) is None:
            return exercise_report(ground, "lab reset", Outcome.UNCHANGED, "no exercise is open on this node")
        back = _back(ground, record, timeout_seconds)
    text = f"exercise {record.name!r} closed: {back.paths} files restored{_served(back)}"
    outcome = Outcome.CHANGED if back.serves else Outcome.STRANDED
    steps = () if back.serves else (f"{ground.words} doctor",)
    return replace(exercise_report(ground, "lab reset", outcome, text), changed=True, next_steps=steps)


@contextmanager
def _at_desk(ground: PracticeNode) -> Iterator[tuple[ExerciseStore, ExerciseRecord, Exercise]]:
    """Yield the open exercise, for one run alone."""
    _opened(ground)
    with alone(ground.desk):
        record, exercise = _opened(ground)
        yield ground.desk, record, exercise


def _finishing(ground: PracticeNode) -> AbstractContextManager[Callable[[], bool]]:
    """Hold signals back: what has begun ends soon, and half of it would be of no use."""
    return deferred(lambda _: ground.plane.progress.step("this is brought to its end first"))


def _back(ground: PracticeNode, record: ExerciseRecord, timeout_seconds: float) -> ResetResult:
    try:
        return give_back(ground, record, timeout_seconds)
    except OSError as error:
        where, reason = error.filename or ground.desk.folder, (error.strerror or str(error)).lower()
        text = f"{where}: cannot give back what was there: {reason}; the rest of the exercise is still kept"
        fix = f"make room or make it writable, then: {ground.words} lab reset"
        raise StrandedError(text, check="lab-not-given-back", fix=fix) from error


def _opened(ground: PracticeNode) -> tuple[ExerciseRecord, Exercise]:
    record = ground.desk.record()
    if record is None:
        text = "no exercise is open on this node"
        raise RefusedError(text, check="lab-none-open", fix=f"{ground.words} lab break")
    if record.phase is not ExercisePhase.OPEN:
        text = f"an exercise was interrupted ({record.phase.value})"
        raise RefusedError(text, check="lab-interrupted", fix=f"{ground.words} lab reset")
    return record, catalogue.load(record.name)


def _served(back: ResetResult) -> str:
    return ", the API server is up" if back.serves else ", but the API server is not ready yet"
