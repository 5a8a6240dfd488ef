"""``auditctl log sql`` and ``auditctl log export``: DuckDB over the log (extra ``sql``)."""

from __future__ import annotations

from typing import Annotated

import typer

from auditctl.cli.context import run_and_exit
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane

LogOption = Annotated[
    list[str] | None,
    typer.Option("--log", metavar="LOG", help="Logs (.gz too), directories; default: the node's own."),
]
Processes = Annotated[int | None, typer.Option("--processes", min=1, metavar="N", help="Threads; default: one a core.")]


def sql(
    context: typer.Context,
    query: Annotated[str | None, typer.Argument(metavar="QUERY", help="Of the view events, in DuckDB's SQL.")] = None,
    log: LogOption = None,
    view: Annotated[bool, typer.Option("--view", help="Print the view with its columns.")] = False,
    processes: Processes = None,
) -> None:
    """SQL over the log: a row an event, a typed column a field. Needs DuckDB: pip install 'auditctl[sql]'."""
    if (query is None) != view:
        raise typer.BadParameter("specify a query, or --view")

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.log.sql import log_sql, sql_view

        return sql_view() if query is None else log_sql(plane, query, tuple(log or ()), processes)

    run_and_exit(context, "log sql", operation)


def export(
    context: typer.Context,
    parquet: Annotated[
        str, typer.Option("--parquet", metavar="DIR", help="Folder; below it day=.../node=....", show_default=False)
    ],
    logs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[LOG...]", help="Logs (.gz too), directories; default: the node's own."),
    ] = None,
    log: LogOption = None,
    node: Annotated[str | None, typer.Option(metavar="NAME", help="Default: the host's name.")] = None,
    bodies: Annotated[bool, typer.Option("--bodies", help="Also the bodies, which hold secrets.")] = False,
    processes: Processes = None,
) -> None:
    """The log as Parquet, a folder a day and node, for DuckDB, ClickHouse, Spark. Needs DuckDB, as log sql."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.log.sql import ExportOptions, log_export

        options = ExportOptions(
            parquet=parquet,
            logs=(*(logs or ()), *(log or ())),
            node=node,
            with_bodies=bodies,
            processes=processes,
        )
        return log_export(plane, options)

    run_and_exit(context, "log export", operation)
