"""The report of a command that works on an exercise."""

from __future__ import annotations

from typing import Any

from auditctl.lab.exercises.catalogue import Exercise
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
