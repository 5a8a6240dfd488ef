"""``auditctl policy coverage``: a policy and the detections that read what it records."""

from __future__ import annotations

from typing import Annotated

import typer

from auditctl.cli.policy_answer import answered
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane


def coverage(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A policy; - is standard input, a bare word a shipped one.")
    ],
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--for",
            metavar="SET",
            help="falco, sigma, elastic, or a file in the format of detections.yaml; commas or repeated; default: all three.",
        ),
    ] = None,
    kubernetes: Annotated[
        str | None, typer.Option(metavar="VERSION", help="The server's version; default: the newest known.")
    ] = None,
) -> None:
    """Which public detections can never fire under the policy, why, and the least change; exit 1 if there are any."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.policy.coverage import Asked, policy_coverage

        names = tuple(name for each in sets or () for name in each.split(",") if name)
        return policy_coverage(plane, Asked(file, names, kubernetes))

    raise typer.Exit(answered(context.obj, "policy coverage", operation))
