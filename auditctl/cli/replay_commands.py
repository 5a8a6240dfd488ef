"""``auditctl policy replay`` and ``policy suggest``: a policy and recorded traffic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from auditctl.cli.policy_answer import answered
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane

Log = Annotated[
    list[str] | None,
    typer.Option(
        "--log", metavar="LOG", help="Repeatable; .gz, directories, -; default: the node's own with its rotated files."
    ),
]
More = Annotated[list[str] | None, typer.Argument(metavar="[LOG...]", help="More logs.", show_default=False)]
Processes = Annotated[int | None, typer.Option("--processes", min=1, metavar="N", help="Default: one a core.")]
Kubernetes = Annotated[str | None, typer.Option(metavar="VERSION", help="The server's version.")]


def replay(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A policy, or the name of a shipped one.")],
    more: More = None,
    log: Log = None,
    against: Annotated[
        str | None, typer.Option(metavar="OLD", help="Compare with this policy; default: with what was recorded.")
    ] = None,
    kubernetes: Kubernetes = None,
    processes: Processes = None,
) -> None:
    """What the policy would have made of recorded traffic: events and bytes a rule, what falls out of sight."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.policy.replay import ReplayOptions, policy_replay

        return policy_replay(plane, ReplayOptions(file, (*(log or ()), *(more or ())), against, kubernetes, processes))

    raise typer.Exit(answered(context.obj, "policy replay", operation))


def suggest(
    context: typer.Context,
    more: More = None,
    log: Log = None,
    policy: Annotated[str, typer.Option(metavar="FILE", help="The policy that the rules are added to.")] = "baseline",
    most: Annotated[int, typer.Option("-n", min=1, metavar="N", help="Rules at most.")] = 8,
    kubernetes: Kubernetes = None,
    processes: Processes = None,
) -> None:
    """Rules that would save most without hiding anything sensitive: prints the policy with them in it."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.policy.suggest import SuggestOptions, policy_suggest

        return policy_suggest(plane, SuggestOptions((*(log or ()), *(more or ())), policy, most, kubernetes, processes))

    raise typer.Exit(answered(context.obj, "policy suggest", operation))


COMMANDS: Mapping[str, Callable[..., None]] = {"replay": replay, "suggest": suggest}
