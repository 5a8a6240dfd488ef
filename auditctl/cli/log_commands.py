"""``auditctl log``: follow the audit log, and say who makes it what it is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import typer

from auditctl.cli import log_people_commands
from auditctl.cli.context import FORMATS, run_and_exit
from auditctl.cli.help_command import CommandWithExamples, GroupWithPanels
from auditctl.cli.log_filter import filter_events
from auditctl.cli.log_options import (
    Agent,
    Code,
    Kubernetes,
    LogOption,
    Logs,
    Many,
    Namespaces,
    Processes,
    Resource,
    Since,
    SourceIp,
    Until,
    User,
    UserGroup,
    Verb,
)
from auditctl.cli.log_report import report
from auditctl.cli.log_sql import export, sql
from auditctl.cli.log_tally import tally
from auditctl.cli.output import coloured
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane


def tail(
    context: typer.Context,
    logs: Logs = None,
    log: LogOption = None,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on with what is appended, across rotation.")
    ] = False,
    count: Annotated[
        int | None, typer.Option("-n", "--lines", min=0, metavar="N", help="The last N; default: 10, all with filters.")
    ] = None,
    user: User = None,
    user_group: UserGroup = None,
    verb: Verb = None,
    resource: Resource = None,
    subresource: Annotated[Many, typer.Option(metavar="SUB")] = None,
    namespace: Namespaces = None,
    name: Annotated[Many, typer.Option(metavar="NAME")] = None,
    level: Annotated[Many, typer.Option(metavar="LEVEL")] = None,
    stage: Annotated[Many, typer.Option(metavar="STAGE", help="Show each stage on its own line.")] = None,
    code: Code = None,
    agent: Agent = None,
    source_ip: SourceIp = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """The events of the log, one line each, times in UTC; -o json prints them as they are in it, -o wide prints more columns.

    LV is the level: N None, M Metadata, R Request, RR RequestResponse. The stages of a request are one line.
    """

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.log.filters import LogFilters
        from auditctl.operations.log.tail import log_tail
        from auditctl.operations.log.tail_rows import TailFormat, TailOptions

        filters = LogFilters.of(
            since,
            until,
            user=user,
            user_group=user_group,
            verb=verb,
            resource=resource,
            subresource=subresource,
            namespace=namespace,
            name=name,
            level=level,
            stage=stage,
            code=code,
            agent=agent,
            source_ip=source_ip,
        )
        wide = context.obj.output == "wide"
        form = TailFormat.LINES if wide else TailFormat(context.obj.output)
        options = TailOptions(
            logs=(*(logs or ()), *(log or ())),
            filters=filters,
            follow=follow,
            most=count,
            form=form,
            colour=form is TailFormat.LINES and coloured(sys.stdout),
            wide=wide,
            header=not context.obj.quiet,
        )
        return log_tail(plane, options)

    run_and_exit(context, "log tail", operation, formats=(*FORMATS, "wide"))


def top(
    context: typer.Context,
    logs: Logs = None,
    log: LogOption = None,
    by: Annotated[
        Many,
        typer.Option(
            metavar="WHAT", help="user, verb, resource, namespace, level, rule or log (the node); default: all but log."
        ),
    ] = None,
    count: Annotated[int, typer.Option("-n", min=1, metavar="N", help="Values of each.")] = 10,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="By its rules too; default for --by rule: the node's own, where its own log is read."
        ),
    ] = None,
    kubernetes: Kubernetes = None,
    user: User = None,
    since: Since = None,
    until: Until = None,
    processes: Processes = None,
) -> None:
    """Who, what, and which rule makes the volume: events, bytes, share."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.errors import UsageError
        from auditctl.log.filters import LogFilters
        from auditctl.log.volume import DIMENSIONS
        from auditctl.operations.log import volume

        for each in by or ():
            if each not in DIMENSIONS:
                raise UsageError(f"--by {each}: not one of {', '.join(DIMENSIONS)}")
        options = volume.TopOptions(
            logs=(*(logs or ()), *(log or ())),
            by=tuple(by or ()),
            most=count,
            policy=policy,
            kubernetes=kubernetes,
            processes=processes,
            filters=LogFilters.of(since, until, user=user),
        )
        return volume.log_top(plane, options)

    run_and_exit(context, "log top", operation)


def stats(
    context: typer.Context,
    logs: Logs = None,
    log: LogOption = None,
    user: User = None,
    since: Since = None,
    until: Until = None,
    processes: Processes = None,
) -> None:
    """Events over time: a chart with times, events a second, bytes a day."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.log.filters import LogFilters
        from auditctl.operations.log import volume

        filters = LogFilters.of(since, until, user=user)
        return volume.log_stats(plane, (*(logs or ()), *(log or ())), processes, filters)

    run_and_exit(context, "log stats", operation)


def forecast(
    context: typer.Context,
    logs: Logs = None,
    log: LogOption = None,
    rate: Annotated[float | None, typer.Option(metavar="EVENTS", help="Events a second; default: the log's.")] = None,
    requests: Annotated[
        float | None, typer.Option(metavar="REQUESTS", help="Requests a second instead, times --stages.")
    ] = None,
    stages: Annotated[int, typer.Option(min=1, max=3, metavar="N", help="Audited stages of a request.")] = 2,
    event_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Bytes of an event; default: the log's.")
    ] = None,
    days: Annotated[float | None, typer.Option(metavar="DAYS", help="To be kept; default: 30.")] = None,
    disk: Annotated[str | None, typer.Option(metavar="SIZE", help="That the logs may take (20G).")] = None,
    slowest: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="A webhook's slowest answer; default: 10s where the node has a webhook."),
    ] = None,
) -> None:
    """Days kept with the flags as they are, days until the disk is full, and the values for what is wanted."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.cli.options import duration
        from auditctl.operations.log import forecast as log_forecast

        names = (*(logs or ()), *(log or ()))
        seconds = duration("--slowest", slowest) if slowest is not None else None
        options = log_forecast.ForecastOptions(
            logs=names,
            rate=rate,
            requests=requests,
            stages=stages,
            event_size=event_size,
            days=days,
            disk=disk,
            slowest_seconds=seconds,
        )
        return log_forecast.log_forecast(plane, options)

    run_and_exit(context, "log forecast", operation)


COMMANDS: Mapping[str, Callable[..., None]] = {
    "tail": tail,
    "top": top,
    "stats": stats,
    "forecast": forecast,
    "filter": filter_events,
    "tally": tally,
    "report": report,
    "sql": sql,
    "export": export,
    **log_people_commands.COMMANDS,
}


def build(words: Sequence[str]) -> typer.Typer:
    """The group for a command line: only the asked command is built, all of them where none is (help, a typo)."""
    app = typer.Typer(
        cls=GroupWithPanels,
        no_args_is_help=True,
        rich_markup_mode=None,
        help="The audit log: follow it, ask it, count it, plan its disk, ship it.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    named = next(iter(words[words.index("log") + 1 :]), None) if "log" in words else None
    for name, command in COMMANDS.items():
        if named == name or named not in COMMANDS:
            app.command(name, cls=CommandWithExamples)(command)
    return app
