"""``auditctl flags``: arguments to one operation."""

from __future__ import annotations

from typing import Annotated

import typer

from auditctl.cli.policy_answer import answered
from auditctl.cli.policy_commands import Kubernetes
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane


def flags(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One flag only.")] = None,
    kubernetes: Kubernetes = None,
) -> None:
    """Every --audit-* flag of a version: type, default, meaning, trap."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.flags import table

        return table(plane, kubernetes, name)

    raise typer.Exit(answered(context.obj, "flags", operation))
