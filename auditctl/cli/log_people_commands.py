"""``auditctl log history|who|session|values|shipper``: questions of people, and where the log goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from auditctl.cli.context import run_and_exit
from auditctl.cli.log_options import (
    Agent,
    Code,
    LogOptionAlone,
    Many,
    Namespaces,
    Processes,
    Resource,
    Since,
    SourceIp,
    Until,
    User,
    Verb,
)
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane


def history(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="KIND/NAME", help="deploy/web, secrets/db, ns/shop.")],
    namespace: Annotated[str | None, typer.Option("-n", "--namespace", metavar="NS", help="Default: all.")] = None,
    diff: Annotated[bool, typer.Option("--diff", help="What each request changed, where bodies are recorded.")] = False,
    reads: Annotated[bool, typer.Option("--reads", help="Also get, list and watch.")] = False,
    log: LogOptionAlone = None,
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

        filters = LogFilters.of(since, until, user=user, verb=verb, code=code, agent=agent, source_ip=source_ip)
        options = PeopleOptions(
            logs=tuple(log or ()), filters=filters, diff=diff, shows_reads=reads, processes=processes
        )
        return log_history(plane, name, namespace, options)

    run_and_exit(context, "log history", operation)


def who(
    context: typer.Context,
    user: Annotated[str, typer.Argument(metavar="USER", help="As the log has it; * is any text.")],
    log: LogOptionAlone = None,
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

        filters = LogFilters.of(
            since,
            until,
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
    log: LogOptionAlone = None,
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
    log: LogOptionAlone = None,
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

        filters = LogFilters.of(
            since,
            until,
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


COMMANDS: Mapping[str, Callable[..., None]] = {
    "history": history,
    "who": who,
    "session": session,
    "values": values,
    "shipper": shipper,
}
