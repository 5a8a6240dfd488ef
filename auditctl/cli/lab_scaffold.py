"""``auditctl lab scaffold``: a killercoda scenario in a folder."""

from pathlib import Path
from typing import Annotated

import typer

from auditctl.cli.context import finish
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import Report


def scaffold(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new or an empty folder.")],
    binary: Annotated[
        Path | None,
        typer.Option(
            "--binary", metavar="FILE", help="The single-file build that the scenario installs.  [the one that runs]"
        ),
    ] = None,
) -> None:
    """Write a killercoda scenario: audit logging learnt by hand, step by step, each step graded by meaning."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.lab.tools.scaffold import scaffold as run

        return run(plane, directory, binary)

    finish(context, "lab scaffold", operation)
