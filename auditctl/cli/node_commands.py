"""The commands on the node: arguments to one operation each."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from auditctl.cli.context import Operation, run_and_exit, run_once
from auditctl.cli.enable_options import EnableOptions
from auditctl.cli.help_command import CommandWithExamples, GroupWithPanels
from auditctl.cli.options import ChangeArguments, Persist, UnknownResources, takes
from auditctl.cli.output import Delivery
from auditctl.compatibility import UTC
from auditctl.operations.answer import CommandResult, text_result
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import Report

_WATCH_SECONDS = 2.0
_INTERRUPTED = 130
_OF_CLUSTER = "status --server"  # needs no node
_CLEAR = "\x1b[H\x1b[2J"  # the cursor home, the screen empty (ECMA-48)

Watch = Annotated[bool, typer.Option("--watch", help="Redraw every two seconds, until Ctrl-C.")]


@takes(EnableOptions)
def enable(context: typer.Context, options: EnableOptions) -> None:
    """Switch auditing on, or change it; the same again does nothing."""
    run_and_exit(context, "enable", options.enable, changes=options.changes_node)


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableOptions(ChangeArguments):
    """The options of ``disable``."""

    purge: Annotated[bool, typer.Option("--purge", help="Also remove policy and webhook file.")] = False
    purge_logs: Annotated[
        bool, typer.Option("--purge-logs", help="Also remove the audit log and its rotated files (with --yes).")
    ] = False
    persist: Persist = False


@takes(DisableOptions)
def disable(context: typer.Context, options: DisableOptions) -> None:
    """Take auditing out: every flag, and each volume or mount that serves nothing else."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.disable import Purge
        from auditctl.operations.disable import disable as run

        purge = Purge(options.purge, options.purge_logs, options.yes)
        return run(plane, purge, options.change_options(persist=options.persist))

    run_and_exit(context, "disable", operation, changes=options.changes_node)


@takes(ChangeArguments)
def restart(context: typer.Context, options: ChangeArguments) -> None:
    """Validate the policy on disk, restart so that it is loaded, prove it."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.restart import restart as run

        return run(plane, options.change_options())

    run_and_exit(context, "restart", operation, changes=options.changes_node)


@takes(ChangeArguments)
def rollback(
    context: typer.Context,
    options: ChangeArguments,
    change_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="See `auditctl history`.")] = None,
) -> None:
    """Undo the last change, or ID and our later ones."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.rollback import rollback as run

        return run(plane, change_id, options.change_options())

    run_and_exit(context, "rollback", operation, changes=options.changes_node)


def status(
    context: typer.Context,
    watch: Watch = False,
    template: Annotated[
        str | None,
        typer.Option(
            "--template",
            metavar="NAME",
            help="Print what goes with -o prometheus: alerts, dashboard, service or timer; or what --server may read: rbac.",
        ),
    ] = None,
    server: Annotated[
        bool,
        typer.Option(
            "--server",
            help="Every API server of the cluster, read by the API alone, from any machine with a kubeconfig.",
        ),
    ] = False,
    cluster_context: Annotated[
        str, typer.Option("--context", metavar="NAME", help="With --server: the context of the kubeconfig.")
    ] = "",
) -> None:
    """Show whether the API server is ready and requests are recorded; exit 1 where anything is not well.

    -o prometheus prints metrics for node_exporter's textfile collector, and exits with 0 where they could be collected.
    """
    if cluster_context and not server:
        raise typer.BadParameter("it goes with --server", param_hint="--context")
    if template is not None or context.obj.output == "prometheus":
        _status_for_prometheus(context, template, watch=watch, cluster=cluster_context if server else None)
    if server:
        from auditctl.operations.cluster.status import cluster_status

        _once_or_watch(context, _OF_CLUSTER, lambda plane: cluster_status(plane, cluster_context), watch=watch)
    from auditctl.operations.evidence.counters import Memory
    from auditctl.operations.status import status as run

    memory = Memory() if watch else None
    _once_or_watch(context, "status", lambda plane: run(plane, memory), watch=watch)


def _status_for_prometheus(
    context: typer.Context, template: str | None, *, watch: bool, cluster: str | None
) -> NoReturn:
    from auditctl.operations.status_metrics import status_metrics, template_text

    if watch:
        raise typer.BadParameter("it goes neither with -o prometheus nor with --template", param_hint="--watch")
    if template is not None:
        run_and_exit(context, _OF_CLUSTER, lambda _: template_text(template))
    if cluster is not None:
        from auditctl.operations.cluster.status import cluster_status_metrics

        run_and_exit(
            context, _OF_CLUSTER, lambda plane: cluster_status_metrics(plane, cluster), formats=("prometheus",)
        )
    run_and_exit(context, "status", status_metrics, formats=("prometheus",))


def verify(
    context: typer.Context,
    policy: Annotated[
        list[str] | None, typer.Option("--policy", metavar="FILE", help="The loaded policy decides the same.")
    ] = None,
    flag: Annotated[
        list[str] | None, typer.Option("--flag", metavar="NAME=VALUE", help="The effective flag has that value.")
    ] = None,
    expect: Annotated[
        list[str] | None, typer.Option("--expect", metavar="'REQUEST -> LEVEL'", help="The loaded policy decides so.")
    ] = None,
    unknown_resources: UnknownResources = False,
    require_proof: Annotated[
        bool, typer.Option("--require-proof", help="Exit 1 too where nothing can be proved (--audit-log-path=-).")
    ] = False,
    watch: Watch = False,
) -> None:
    """Prove now that a request is recorded; exit 1 if not."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.verify import VerifyOptions
        from auditctl.operations.verify import verify as run

        texts = (tuple(each or ()) for each in (policy, flag, expect))
        return run(plane, VerifyOptions.parse(*texts, takes_unknown=unknown_resources, require_proof=require_proof))

    _once_or_watch(context, "verify", operation, watch=watch)


def history_app() -> typer.Typer:
    """Return the group ``history``: alone it lists the changes, ``show`` prints one of them."""
    app = typer.Typer(cls=GroupWithPanels, rich_markup_mode=None, invoke_without_command=True)
    app.callback()(history)
    app.command("show", cls=CommandWithExamples)(show_change)
    return app


def history(context: typer.Context) -> None:
    """The changes on this node, newest last: ID, age, who, how it ended and why."""
    if context.invoked_subcommand is not None:
        return

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.history import history as run

        return run(plane)

    run_and_exit(context, "history", operation)


def show_change(
    context: typer.Context,
    change_id: Annotated[str, typer.Argument(metavar="ID", help="As `auditctl history` prints it, or its beginning.")],
) -> None:
    """One change: its steps, its files, and the diff of what it wrote."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.history import show

        return show(plane, change_id)

    run_and_exit(context, "history show", operation)


@takes(ChangeArguments)
def doctor(
    context: typer.Context,
    options: ChangeArguments,
    fix: Annotated[bool, typer.Option("--fix", help="Repair what has one safe repair, through the same undo.")] = False,
) -> None:
    """Name what is broken or will break, with its cause and the one next step; works while the API server is down."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.doctor.command import doctor as run

        return run(plane, options.change_options(), fix=fix)

    run_and_exit(context, "doctor", operation, changes=fix and options.changes_node)


def recover(
    context: typer.Context,
    unit: Annotated[
        bool, typer.Option("--unit", help="Print the systemd unit that does it before the kubelet starts.")
    ] = False,
) -> None:
    """Finish or undo an interrupted change."""

    def printed(_: ControlPlane) -> CommandResult:
        from auditctl.operations import recover

        return text_result(recover.unit((sys.executable, str(Path(sys.argv[0]).resolve()))))

    def recovered(plane: ControlPlane) -> Report:
        from auditctl.operations.recover import recover as run

        return run(plane)

    run_and_exit(context, "recover", printed if unit else recovered, changes=not unit)


def _once_or_watch(context: typer.Context, command: str, operation: Operation, *, watch: bool) -> None:
    if not watch:
        run_and_exit(context, command, operation)
    try:
        while True:
            code, delivery = run_once(context.obj, command, operation, heading=_heading)
            if code == _INTERRUPTED or delivery is not Delivery.WRITTEN:
                raise typer.Exit(1 if delivery is Delivery.FAILED else 0)
            time.sleep(_WATCH_SECONDS)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _heading() -> str:
    """Return the time; on a terminal the screen is cleared before it, so that the report stays in its place."""
    stamp = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, again every {_WATCH_SECONDS:.0f} s; Ctrl-C ends it"
    return f"{_CLEAR}{stamp}\n" if sys.stdout.isatty() and os.environ.get("TERM") != "dumb" else f"\n{stamp}"


COMMANDS: Mapping[str, Callable[..., None]] = {
    command.__name__: command for command in (enable, disable, status, verify, restart, rollback, doctor, recover)
}
