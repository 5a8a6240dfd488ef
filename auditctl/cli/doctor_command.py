"""The command ``doctor``: arguments to one operation."""

from typing import Annotated

import typer

from auditctl.cli.context import finish
from auditctl.cli.options import Allow, Drain, DryRun, NoRollback, NoWait, Strict, Timeout, Yes
from auditctl.cli.values import how_of
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import Report


def doctor(
    context: typer.Context,
    fix: Annotated[bool, typer.Option("--fix", help="Repair what has one safe repair, through the same undo.")] = False,
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    timeout: Timeout = "5m",
    drain: Drain = None,
    allow: Allow = None,
    strict: Strict = False,
    no_rollback: NoRollback = False,
    yes: Yes = False,
) -> None:
    """Name what is broken or will break, with its cause and the one next step; works while the API server is down."""
    how = how_of(dry_run, no_wait, timeout, drain, allow, strict, no_rollback, yes)

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.doctor.command import doctor as run

        return run(plane, how, fix=fix)

    finish(context, "doctor", operation)
