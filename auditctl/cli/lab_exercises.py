"""``auditctl lab list|break|hint|check|solve|reset``: faults and tasks to practise."""

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditctl.cli.context import run_and_exit
from auditctl.cli.options import Timeout, duration
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import Report

if TYPE_CHECKING:  # a lab's rooms are only entered when one is asked for
    from auditctl.lab.exercises.target_node import PracticeNode

Wants = Annotated[
    Path | None,
    typer.Option("--wants", metavar="FILE", help="Grade by the requirements of this YAML file; no exercise is needed."),
]
Name = Annotated[
    str | None,
    typer.Argument(metavar="[FAULT]", help="A name of `lab list`; default: a fault is drawn, and not named."),
]


class KindChoice(str, Enum):
    """What `lab list` shows."""

    fault = "fault"
    task = "task"


def listing(
    context: typer.Context,
    kind: Annotated[KindChoice | None, typer.Option("--kind", help="Only faults, or only tasks.")] = None,
) -> None:
    """The faults to find and the tasks to do."""

    def operation(node: "PracticeNode") -> Report:
        from auditctl.lab.exercises.catalogue import ExerciseKind
        from auditctl.lab.exercises.exercise_report import listed

        return listed(node, list(ExerciseKind) if kind is None else [ExerciseKind(kind.value)])

    _run_on_practice_node(context, "lab list", operation)


def break_(
    context: typer.Context,
    fault: Name = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="Draw the same fault as everybody with this number.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="This machine is a node to throw away (/etc/auditctl-lab-node says so too).")
    ] = False,
    timeout: Timeout = "5m",
) -> None:
    """Begin an exercise: break the node, or set a task; only what is seen of it is told."""

    def operation(node: "PracticeNode") -> Report:
        from auditctl.lab.exercises.commands import BreakOptions, begin

        return begin(node, BreakOptions(fault, seed, yes, duration("--timeout", timeout)))

    _run_on_practice_node(context, "lab break", operation, real=yes, beginning=True, changes=True)


def hint(
    context: typer.Context,
    number: Annotated[
        int | None, typer.Argument(metavar="[N]", min=1, help="A hint that was given already; default: the next.")
    ] = None,
) -> None:
    """A hint to the open exercise; each time one step further."""

    def operation(node: "PracticeNode") -> Report:
        from auditctl.lab.exercises.commands import hint as given

        return given(node, number)

    _run_on_practice_node(context, "lab hint", operation)


def check(context: typer.Context, wants: Wants = None) -> None:
    """Is it solved? Exit 0: yes; 1: not yet; 3: it cannot be told. Works while the API server is down."""
    if wants is not None:
        path = wants

        def grading(plane: ControlPlane) -> Report:
            from auditctl.lab.grading.grade import grade_file

            return grade_file(plane, path)

        run_and_exit(context, "lab check", grading)

    def operation(node: "PracticeNode") -> Report:
        from auditctl.lab.exercises.commands import check as judged

        return judged(node)

    _run_on_practice_node(context, "lab check", operation)


def solve(context: typer.Context, timeout: Timeout = "5m") -> None:
    """Do what solves the open exercise, and say what that was."""

    def operation(node: "PracticeNode") -> Report:
        from auditctl.lab.exercises.commands import solve as solved

        return solved(node, duration("--timeout", timeout))

    _run_on_practice_node(context, "lab solve", operation, changes=True)


def reset(context: typer.Context, timeout: Timeout = "5m") -> None:
    """Give the node back byte for byte what it was before the exercise; works while the API server is down."""

    def operation(node: "PracticeNode") -> Report:
        from auditctl.lab.exercises.commands import reset as given_back

        return given_back(node, duration("--timeout", timeout))

    _run_on_practice_node(context, "lab reset", operation, changes=True)


def _run_on_practice_node(
    context: typer.Context,
    command: str,
    operation: "Callable[[PracticeNode], Report]",
    *,
    real: bool = False,
    beginning: bool = False,
    changes: bool = False,
) -> None:
    """Run the operation on the node of the exercise."""

    def on_its_node(plane: ControlPlane) -> Report:
        from auditctl.lab.exercises.target_node import find

        return operation(find(plane, real=real, beginning=beginning))

    run_and_exit(context, command, on_its_node, changes=changes)
