"""``auditctl log tally``: a log as counts that may leave the node."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from auditctl.cli.context import run_and_exit
from auditctl.cli.log_options import Kubernetes, LogOption, Many, Processes
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane


def tally(
    context: typer.Context,
    logs: Annotated[
        Many,
        typer.Argument(
            metavar="[LOG...]",
            help="Logs (.gz too), directories, -, and tallies, which are added; default: the node's own log.",
        ),
    ] = None,
    log: LogOption = None,
    to: Annotated[str, typer.Option("--to", metavar="FILE", help="- is standard output.")] = "-",
    node: Annotated[
        str | None, typer.Option(metavar="NAME", help="Under which the counts stand; default: the host's name.")
    ] = None,
    names: Annotated[bool, typer.Option("--names", help="Keep the names of all objects.")] = False,
    policy: Annotated[
        Many,
        typer.Option("--policy", metavar="FILE", help="Keep the object names that this policy has (repeatable)."),
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of a tally's lines.")] = False,
    kubernetes: Kubernetes = None,
    processes: Processes = None,
) -> None:
    """A log as counts by what policies can tell apart, a few kB: --log of replay, suggest, top, stats, forecast takes it.

    No bodies, no queries of URLs, and no object names but those that the shipped policies have.
    """

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.log.tally import TallyOptions, log_tally, tally_schema

        if schema:
            return tally_schema()
        options = TallyOptions(
            logs=(*(logs or ()), *(log or ())),
            to=to,
            node=node,
            names=names,
            policies=tuple(policy or ()),
            kubernetes=kubernetes,
            processes=processes,
            is_terminal=sys.stdout.isatty(),
        )
        return log_tally(plane, options)

    run_and_exit(context, "log tally", operation)
