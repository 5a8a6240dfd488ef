"""``auditctl log report``: a page about a log."""

from __future__ import annotations

from typing import Annotated

import typer

from auditctl.cli.context import run_and_exit
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane

Many = list[str] | None


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
    log: Annotated[Many, typer.Option("--log", metavar="LOG", help="The same as an option.")] = None,
    policy: Annotated[
        str | None, typer.Option("--policy", metavar="FILE", help="The volume by its rules, with the days kept.")
    ] = None,
    title: Annotated[str, typer.Option(metavar="TEXT", help="The page's title.")] = "What the audit log tells",
    user: Annotated[
        Many, typer.Option(metavar="USER", help="Filters: ! before a value negates, * is any text, several are or.")
    ] = None,
    namespace: Annotated[Many, typer.Option("--namespace", metavar="NAMESPACE")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="RFC 3339 (UTC without a zone), or a duration ago (15m, 2d).")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="As --since.")] = None,
    kubernetes: Annotated[str | None, typer.Option(metavar="VERSION")] = None,
    processes: Annotated[
        int | None, typer.Option("--processes", min=1, metavar="N", help="Default: one a core.")
    ] = None,
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
            filters=LogFilters(user=tuple(user or ()), namespace=tuple(namespace or ()), since=since, until=until),
        )
        return log_report(plane, options)

    run_and_exit(context, "log report", operation)
