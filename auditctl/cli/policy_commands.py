"""``auditctl policy``: what a policy says, before any server reads it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from auditctl.cli.context import Globals, finish
from auditctl.cli.output import write
from auditctl.errors import AuditctlError
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy_answer import Answer
from auditctl.report import Report, finding_line

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Audit policies: is it legal, is it meant, what will it record.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
Kubernetes = Annotated[
    str | None,
    typer.Option(
        metavar="VERSION", help="The server's version; default: the manifest's image tag, else the newest known."
    ),
]
File = Annotated[str, typer.Argument(metavar="FILE", help="A policy; - is standard input, a bare word a shipped one.")]


def _answer(context: typer.Context, command: str, operation: Callable[[ControlPlane], Answer]) -> None:
    """Print what the operation answers, exit with its code; what goes wrong is one sentence on stderr."""
    options: Globals = context.obj
    try:
        answer = operation(options.plane())
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (told here, or by the funnel of all commands)
        _fail(context, command, error)
        return
    write(sys.stdout, answer.text(options.output, quiet=options.quiet))
    raise typer.Exit(answer.exit_code)


def _fail(context: typer.Context, command: str, error: BaseException) -> None:
    options: Globals = context.obj
    if isinstance(error, AuditctlError) and options.output == "text":
        for finding in error.findings:
            write(sys.stderr, finding_line(finding))
        place = f"{error.place}: " if error.place else ""
        fix = f" ({error.fix})" if error.fix else ""
        write(sys.stderr, f"auditctl {command}: {place}{error.message}{fix}")
        raise typer.Exit(error.exit_code)

    def operation(plane: ControlPlane) -> Report:  # noqa: ARG001 (the shape of an operation)
        raise error

    finish(context, command, operation)


@app.command("list")
def list_policies(context: typer.Context) -> None:
    """The shipped policies, each with what it is for."""

    def operation(plane: ControlPlane) -> Answer:  # noqa: ARG001
        from auditctl.operations import policy_check

        return policy_check.shipped()

    _answer(context, "policy list", operation)


@app.command()
def show(context: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Print a shipped policy."""

    def operation(plane: ControlPlane) -> Answer:  # noqa: ARG001
        from auditctl.operations import policy_check

        return policy_check.show(name)

    _answer(context, "policy show", operation)


@app.command()
def validate(
    context: typer.Context,
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILE...", help="Policies; - is standard input.")
    ] = None,
    kubernetes: Kubernetes = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings make the exit code 1 too.")] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CHECK", help="Of the warnings, only those of CHECK.")
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", metavar="CHECK", help="Let CHECK pass (--list names them).")
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="Print every check: name, reason, example, fix.")] = False,
) -> None:
    """What the server would refuse, silently drop, and what is surely not meant; exit 1 if it is refused or has dropped fields."""

    def operation(plane: ControlPlane) -> Answer:
        from auditctl.operations import policy_check

        if listing:
            return policy_check.checks()
        asked = policy_check.Asked(
            tuple(files or ()), kubernetes, strict, frozenset(only or ()), frozenset(allow or ())
        )
        return policy_check.validate(plane, asked)

    _answer(context, "policy validate", operation)
