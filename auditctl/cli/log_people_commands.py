"""``auditctl log history|who|session|values|shipper``: questions of people, and where the log goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from auditctl.cli.context import run_and_exit
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane

if TYPE_CHECKING:
    from auditctl.log.filters import LogFilters

Many = list[str] | None
LogOption = Annotated[
    Many, typer.Option("--log", metavar="LOG", help="Logs (.gz too), directories, -; default: the node's own.")
]
Processes = Annotated[int | None, typer.Option("--processes", min=1, metavar="N", help="Default: one a core.")]
User = Annotated[
    Many, typer.Option(metavar="USER", help="Filters: ! before a value negates, * is any text, several are or.")
]
Verb = Annotated[Many, typer.Option(metavar="VERB", help="get, list, ... or several with commas; !watch.")]
Resource = Annotated[Many, typer.Option(metavar="RESOURCE[/SUB][.GROUP]")]
Namespaces = Annotated[Many, typer.Option("--namespace", metavar="NAMESPACE")]
Code = Annotated[Many, typer.Option(metavar="CODE", help="403, 4xx, 500-599, !200.")]
Agent = Annotated[Many, typer.Option(metavar="AGENT", help="Client's user agent, e.g. kubectl*.")]
SourceIp = Annotated[Many, typer.Option(metavar="ADDRESS", help="10.0.0.7 or 10.0.0.0/8.")]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="RFC 3339 (UTC without a zone), or a duration ago (15m, 2d).")
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="As --since.")]


def history(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="KIND/NAME", help="deploy/web, secrets/db, ns/shop.")],
    namespace: Annotated[str | None, typer.Option("-n", "--namespace", metavar="NS", help="Default: all.")] = None,
    diff: Annotated[bool, typer.Option("--diff", help="What each request changed, where bodies are recorded.")] = False,
    reads: Annotated[bool, typer.Option("--reads", help="Also get, list and watch.")] = False,
    log: LogOption = None,
    user: User = None,
    verb: Verb = None,
    code: Code = None,
    agent: Agent = None,
    source_ip: SourceIp = None,
    since: Since = None,
    until: Until = None,
    processes: Processes = None,
) -> None:
    """Everything that happened to one object: when, who and as whom, from where, what; subresources too.

    The values of Secrets, tokens and passwords are never printed, fields that the server maintains are left out.
    """

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.log.filters import LogFilters
        from auditctl.operations.log.people import PeopleOptions, log_history

        filters = _filters(
            LogFilters(since=since, until=until), user=user, verb=verb, code=code, agent=agent, source_ip=source_ip
        )
        options = PeopleOptions(
            logs=tuple(log or ()), filters=filters, diff=diff, shows_reads=reads, processes=processes
        )
        return log_history(plane, name, namespace, options)

    run_and_exit(context, "log history", operation)


def who(
    context: typer.Context,
    user: Annotated[str, typer.Argument(metavar="USER", help="As the log has it; * is any text.")],
    log: LogOption = None,
    verb: Verb = None,
    resource: Resource = None,
    namespace: Namespaces = None,
    code: Code = None,
    agent: Agent = None,
    source_ip: SourceIp = None,
    since: Since = None,
    until: Until = None,
    processes: Processes = None,
) -> None:
    """The requests of one user, those included that others made as this user (impersonation)."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.log.filters import LogFilters
        from auditctl.operations.log.people import PeopleOptions, log_who

        filters = _filters(
            LogFilters(since=since, until=until),
            verb=verb,
            resource=resource,
            namespace=namespace,
            code=code,
            agent=agent,
            source_ip=source_ip,
        )
        return log_who(plane, user, PeopleOptions(logs=tuple(log or ()), filters=filters, processes=processes))

    run_and_exit(context, "log who", operation)


def session(
    context: typer.Context,
    identity: Annotated[
        str, typer.Argument(metavar="ID", help="An Audit-ID, or a credential ID (X509SHA256=..., JTI=...).")
    ],
    log: LogOption = None,
    since: Since = None,
    until: Until = None,
    processes: Processes = None,
) -> None:
    """All requests with one Audit-ID, or with one certificate or token (authentication.kubernetes.io/credential-id)."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.log.filters import LogFilters
        from auditctl.operations.log.people import PeopleOptions, log_session

        filters = LogFilters(since=since, until=until)
        return log_session(plane, identity, PeopleOptions(logs=tuple(log or ()), filters=filters, processes=processes))

    run_and_exit(context, "log session", operation)


def values(
    context: typer.Context,
    field: Annotated[
        str,
        typer.Argument(
            metavar="FIELD",
            help="user, impersonated-user, group, verb, resource, namespace, name, agent, code, source-ip, level, stage.",
        ),
    ],
    log: LogOption = None,
    most: Annotated[int, typer.Option("-n", min=1, metavar="N", help="The values with most events.")] = 50,
    user: User = None,
    verb: Verb = None,
    resource: Resource = None,
    namespace: Namespaces = None,
    code: Code = None,
    stage: Annotated[Many, typer.Option(metavar="STAGE", help="ResponseComplete counts requests, not events.")] = None,
    since: Since = None,
    until: Until = None,
    processes: Processes = None,
) -> None:
    """Which users, verbs, resources, agents, ... are in the log, with the number of events of each."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.log.filters import LogFilters
        from auditctl.operations.log.people import PeopleOptions, log_values

        filters = _filters(
            LogFilters(since=since, until=until),
            user=user,
            verb=verb,
            resource=resource,
            namespace=namespace,
            code=code,
            stage=stage,
        )
        options = PeopleOptions(logs=tuple(log or ()), filters=filters, processes=processes)
        return log_values(plane, field, most, options)

    run_and_exit(context, "log values", operation)


def shipper(
    context: typer.Context,
    program: Annotated[
        str, typer.Option("--as", metavar="PROGRAM", help="vector, alloy, fluent-bit, otel, filebeat or rsyslog.")
    ],
    to: Annotated[
        str | None, typer.Option("--to", metavar="URL", help="The destination; default: an example address.")
    ] = None,
    cluster: Annotated[str, typer.Option(metavar="NAME", help="A label of each event.")] = "kubernetes",
) -> None:
    """Print the configuration with which a log shipper sends this node's audit log, from the running flags."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.log.shipper import log_shipper

        return log_shipper(plane, program, to, cluster)

    run_and_exit(context, "log shipper", operation)


def _filters(filters: LogFilters, **values: Many) -> LogFilters:
    """Return the filters with the values of more options, each spelled as the server does."""
    given = [tuple(values.get(name) or ()) for name in filters._fields[:-2]]
    return filters.of(given, filters.since, filters.until)


COMMANDS: Mapping[str, Callable[..., None]] = {
    "history": history,
    "who": who,
    "session": session,
    "values": values,
    "shipper": shipper,
}
