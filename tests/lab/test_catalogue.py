"""Exercises as data: each can be read, and tells no more than it should."""

from __future__ import annotations

import pytest

from auditctl.errors import RefusedError
from auditctl.lab.exercises import catalogue
from auditctl.lab.exercises.catalogue import Exercise, ExerciseKind, load, read
from auditctl.lab.grading.fields import RequirementError

EVERY = list(catalogue.everything())
FAULTS = [one for one in EVERY if one.kind is ExerciseKind.FAULT]
FAULT = """\
title: A title
difficulty: 1
ids: [F06]
story: Something happened.
start:
- replace: {in: manifest, old: a, new: b}
symptom: crash-looping
hints: [vague, near]
doctor: {check: flag-unknown}
solution:
- repair: true
wants:
- serving: true
"""


def test_there_are_at_least_twenty_faults_of_the_catalogue_and_a_good_part_is_quiet() -> None:
    assert len(FAULTS) >= 20
    assert sum(one.symptom is not None and one.symptom.name == "SERVING" for one in FAULTS) >= 10
    assert len({identifier for one in FAULTS for identifier in one.ids}) >= 20


@pytest.mark.parametrize("exercise", FAULTS, ids=lambda one: one.name)
def test_a_fault_goes_from_vague_to_near_and_its_story_does_not_name_what_doctor_names(exercise: Exercise) -> None:
    assert exercise.doctor is not None
    assert 2 <= len(exercise.hints) <= 4
    assert all("`lab solve`" not in one for one in exercise.hints) or exercise.only_lab
    assert exercise.doctor.check not in f"{exercise.name} {exercise.title} {exercise.text}"
    assert type(exercise.wants[0]) is dict
    assert exercise.solution


def test_names_of_faults_and_tasks_are_one_namespace() -> None:
    assert len(EVERY) == len(catalogue.names()) == len({one.name for one in EVERY})


def test_a_name_that_is_nearly_right_is_answered_with_the_right_one() -> None:
    with pytest.raises(RefusedError) as raised:
        load("down-after-size")

    assert (raised.value.exit_code, raised.value.fix) == (3, "did you mean 'down-after-sizes'?")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("title: A title\n", "", "'title' is missing"),
        ("difficulty: 1", "difficulty: 4", "'difficulty' is 1 to 3, not '4'"),
        ("ids: [F06]\n", "", "a fault needs 'ids'"),
        ("symptom: crash-looping", "symptom: down", "'down' is not a state of a node"),
        ("- repair: true", "- mend: true", "solution[0] (mend): is not a kind of step"),
        ("- repair: true", "- repair: false", "solution[0] (repair): is written with 'true'"),
        ("- repair: true", "- mode: {file: policy, mode: rwx}", "'rwx' is not a mode"),
        ("- repair: true", "- remove: policy.yaml", "'policy.yaml' is not an absolute path of the node"),
        ("- repair: true", "- switch: {on_fire: true}", "a mapping of dies_after_seconds"),
        ("- repair: true", "- enable: {level: Metadata}", "a mapping of log-path"),
        ("- repair: true", "- {repair: true, reload: true}", "one kind of step"),
        ("solution:\n- repair: true", "solution: []", "'solution' is to be a list of steps"),
        ("- serving: true", "- sirving: true", "'sirving' is not a kind of requirement"),
        ("doctor: {check: flag-unknown}\n", "", "a fault needs 'doctor'"),
        ("title: A title", "titel: A title", "'titel' is not a key of an exercise"),
        ("title: A title", "title: [", "no YAML"),
    ],
)
def test_a_wrong_exercise_is_refused_in_one_sentence_that_says_where(old: str, new: str, words: str) -> None:
    assert read("right", ExerciseKind.FAULT, FAULT).name == "right"
    text = FAULT.replace(old, new, 1)
    assert text != FAULT

    with pytest.raises(RequirementError) as raised:
        read("wrong", ExerciseKind.FAULT, text)

    assert words in raised.value.message
    assert raised.value.message.startswith("wrong") or "sirving" in new
