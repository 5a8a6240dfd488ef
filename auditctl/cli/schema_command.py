"""``auditctl policy schema``: the format of audit policies, as editors read it."""

from __future__ import annotations

from typing import Annotated

import typer

from auditctl.cli.context import run_and_exit
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane


def schema(
    context: typer.Context,
    kubernetes: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION", help="The server's version; default: the manifest's image tag, else the newest known."
        ),
    ] = None,
) -> None:
    """Print the JSON Schema (draft 07) of audit policies, for editors, kubeconform and check-jsonschema."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.policy import schema as policy_schema

        return policy_schema.schema(plane, kubernetes)

    run_and_exit(context, "policy schema", operation)
