"""Report on exercises: one that a command works on, and the list of those that there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from auditctl.lab.exercises import catalogue
from auditctl.lab.exercises.catalogue import Exercise, ExerciseKind
from auditctl.lab.exercises.store import ExerciseRecord
from auditctl.lab.exercises.target_node import PracticeNode
from auditctl.report import ManifestChange, Outcome, Report


def exercise_details(exercise: Exercise, record: ExerciseRecord) -> dict[str, Any]:
    """Return the exercise for a program that reads the report; the name only where it was not drawn."""
    row = {
        "name": exercise.name if record.seed is None else None,
        "seed": record.seed,
        "kind": exercise.kind.value,
        "title": exercise.title,
        "difficulty": exercise.difficulty,
        "text": exercise.text,
        "hints": {"given": record.hints, "of": len(exercise.hints)},
    }
    return {"exercise": row}


def exercise_report(
    ground: PracticeNode,
    command: str,
    outcome: Outcome,
    text: str,
    exercise: Exercise | None = None,
    record: ExerciseRecord | None = None,
) -> Report:
    """Return the report of one command of an exercise, with the exercise in its details."""
    details = exercise_details(exercise, record) if exercise is not None and record is not None else {"exercise": None}
    return Report(
        command=command,
        outcome=outcome,
        summary=text,
        manifest=ManifestChange(path=str(ground.plane.manifest_path)),
        details=details,
    )


def listed(ground: PracticeNode, kinds: Sequence[ExerciseKind]) -> Report:
    """Return a row for each exercise of those kinds."""
    exercises = [one for one in catalogue.everything() if one.kind in kinds]
    rows = [
        {"name": one.name, "kind": one.kind.value, "difficulty": one.difficulty, "title": one.title}
        for one in exercises
    ]
    width = max(len(one.name) for one in exercises)
    lines = tuple(f"{one.kind.value:6}{one.name:{width}}  {'*' * one.difficulty:4}{one.title}" for one in exercises)
    counts = [f"{sum(one.kind is kind for one in exercises)} {kind.value}s" for kind in kinds]
    manifest = ManifestChange(path=str(ground.plane.manifest_path))
    report = Report(command="lab list", outcome=Outcome.UNCHANGED, summary=" and ".join(counts), manifest=manifest)
    steps = (f"{ground.words} lab break NAME, or without a name: one fault, drawn",)
    return replace(report, lines=lines, next_steps=steps, details={"exercises": rows})
