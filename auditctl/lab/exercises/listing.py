"""``lab list``: the exercises that there are, in the order in which they are looked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from auditctl.lab.exercises import catalogue
from auditctl.lab.exercises.catalogue import ExerciseKind
from auditctl.lab.exercises.target_node import PracticeNode
from auditctl.report import ManifestChange, Outcome, Report


def listed(ground: PracticeNode, kinds: Sequence[ExerciseKind]) -> Report:
    """A row for each exercise of those kinds."""
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
