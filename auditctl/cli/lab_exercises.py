"""``auditctl lab list|break|hint|check|solve|reset``: faults and tasks to practise."""

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auditctl.cli.context import finish
from auditctl.cli.options import Timeout
from auditctl.cli.values import duration
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

    def operation(ground: "PracticeNode") -> Report:
        from auditctl.lab.exercises.catalogue import ExerciseKind
        from auditctl.lab.exercises.listing import listed

        return listed(ground, list(ExerciseKind) if kind is None else [ExerciseKind(kind.value)])

    _finish(context, "lab list", operation)


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
    seconds = duration("--timeout", timeout)

    def operation(ground: "PracticeNode") -> Report:
        from auditctl.lab.exercises.commands import BreakOptions, begin

        return begin(ground, BreakOptions(fault, seed, yes, seconds))

    _finish(context, "lab break", operation, real=yes, beginning=True)


def hint(
    context: typer.Context,
    number: Annotated[
        int | None, typer.Argument(metavar="[N]", min=1, help="A hint that was given already; default: the next.")
    ] = None,
) -> None:
    """A hint to the open exercise; each time one step further."""

    def operation(ground: "PracticeNode") -> Report:
        from auditctl.lab.exercises.commands import hint as given

        return given(ground, number)

    _finish(context, "lab hint", operation)


def check(context: typer.Context, wants: Wants = None) -> None:
    """Is it solved? Exit 0: yes; 1: not yet; 3: it cannot be told. Works while the API server is down."""
    if wants is not None:
        path = wants

        def grading(plane: ControlPlane) -> Report:
            from auditctl.lab.grading.command import grade_file

            return grade_file(plane, path)

        finish(context, "lab check", grading)

    def operation(ground: "PracticeNode") -> Report:
        from auditctl.lab.exercises.commands import check as judged

        return judged(ground)

    _finish(context, "lab check", operation)


def solve(context: typer.Context, timeout: Timeout = "5m") -> None:
    """Do what solves the open exercise, and say what that was."""
    seconds = duration("--timeout", timeout)

    def operation(ground: "PracticeNode") -> Report:
        from auditctl.lab.exercises.commands import solve as solved

        return solved(ground, seconds)

    _finish(context, "lab solve", operation)


def reset(context: typer.Context, timeout: Timeout = "5m") -> None:
    """Give the node back byte for byte what it was before the exercise; works while the API server is down."""
    seconds = duration("--timeout", timeout)

    def operation(ground: "PracticeNode") -> Report:
        from auditctl.lab.exercises.commands import reset as given_back

        return given_back(ground, seconds)

    _finish(context, "lab reset", operation)


def _finish(
    context: typer.Context,
    command: str,
    operation: "Callable[[PracticeNode], Report]",
    *,
    real: bool = False,
    beginning: bool = False,
) -> None:
    """Run it on the node that is meant."""

    def on_its_node(plane: ControlPlane) -> Report:
        from auditctl.lab.exercises.target_node import find

        return operation(find(plane, real=real, beginning=beginning))

    finish(context, command, on_its_node)
