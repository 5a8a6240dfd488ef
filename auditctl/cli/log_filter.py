"""``auditctl log filter``: a second log by a second policy, and what may leave the node."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from auditctl.cli.context import run_and_exit
from auditctl.cli.log_options import Kubernetes, LogOption, Logs, Processes
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane


def filter_events(
    context: typer.Context,
    policy: Annotated[
        str,
        typer.Option("--policy", metavar="FILE", help="A policy, or the name of a shipped one.", show_default=False),
    ],
    logs: Logs = None,
    log: LogOption = None,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on with what is appended, across rotation.")
    ] = False,
    kubernetes: Kubernetes = None,
    processes: Processes = None,
) -> None:
    """Write the log as an API server with the policy would have: events dropped, bodies and managed fields cut.

    A log of level RequestResponse gives exactly what that server writes. What was not recorded cannot be added.
    """

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.log.filter import PolicyFilterOptions, log_filter

        options = PolicyFilterOptions(
            policy=policy,
            logs=(*(logs or ()), *(log or ())),
            kubernetes=kubernetes,
            follow=follow,
            terminal=sys.stdout.isatty(),
            processes=processes,
        )
        return log_filter(plane, options)

    run_and_exit(context, "log filter", operation, formats=("text", "json"))
