"""``auditctl log report``: a page about a log."""

from __future__ import annotations

from typing import Annotated

import typer

from auditctl.cli.context import run_and_exit
from auditctl.cli.log_options import Kubernetes, LogOption, Many, Namespaces, Processes, Since, Until, User
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane


def report(
    context: typer.Context,
    html: Annotated[
        str,
        typer.Option("--html", metavar="OUT", help="Write the page there; - is standard output.", show_default=False),
    ],
    logs: Annotated[
        Many,
        typer.Argument(metavar="[LOG...]", help="Logs (.gz too), directories, -, tallies; default: the node's own."),
    ] = None,
    log: LogOption = None,
    policy: Annotated[
        str | None, typer.Option("--policy", metavar="FILE", help="The volume by its rules, with the days kept.")
    ] = None,
    title: Annotated[str, typer.Option(metavar="TEXT", help="The page's title.")] = "What the audit log tells",
    user: User = None,
    namespace: Namespaces = None,
    since: Since = None,
    until: Until = None,
    kubernetes: Kubernetes = None,
    processes: Processes = None,
) -> None:
    """One page about the log: events over time, who does what, refusals, sensitive reads, who is new, volume by rule.

    The page loads nothing, opens offline, prints, and holds the latest requests of each cell. It names objects and users.
    """

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.log.filters import LogFilters
        from auditctl.operations.log.report import ReportOptions, log_report

        options = ReportOptions(
            html=html,
            logs=(*(logs or ()), *(log or ())),
            policy=policy,
            title=title,
            kubernetes=kubernetes,
            processes=processes,
            filters=LogFilters.of(since, until, user=user, namespace=namespace),
        )
        return log_report(plane, options)

    run_and_exit(context, "log report", operation)
