"""The commands on the node: arguments to one operation each."""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from auditctl.cli.context import finish, look
from auditctl.cli.doctor_command import doctor
from auditctl.cli.enable_options import EnableOptions, enabling
from auditctl.cli.options import (
    Allow,
    Drain,
    DryRun,
    NoDowntime,
    NoRollback,
    NoWait,
    Strict,
    Timeout,
    UnknownResources,
    Yes,
)
from auditctl.cli.values import how_of, persisting
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import Report

_WATCH_SECONDS = 2.0
_INTERRUPTED = 130


def enable(
    context: typer.Context,
    policy: Annotated[
        str | None,
        typer.Option(metavar="FILE or NAME", help="A file, or a shipped policy; default: baseline where none is set."),
    ] = None,
    policy_path: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Where the policy is installed.  [/etc/kubernetes/audit/policy.yaml]"),
    ] = None,
    log_path: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="The log file; - is standard output.  [/var/log/kubernetes/audit/audit.log]"),
    ] = None,
    no_log: Annotated[bool, typer.Option("--no-log", help="No log backend.")] = False,
    log_maxage: Annotated[
        int | None, typer.Option(metavar="DAYS", min=0, help="Days to keep rotated files.  [30]")
    ] = None,
    log_maxbackup: Annotated[int | None, typer.Option(metavar="N", min=0, help="Rotated files to keep.  [10]")] = None,
    log_maxsize: Annotated[
        int | None, typer.Option(metavar="MB", min=0, help="Megabytes at which the log is rotated.  [100]")
    ] = None,
    webhook_config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A kubeconfig of a webhook backend, to be installed.")
    ] = None,
    no_webhook: Annotated[bool, typer.Option("--no-webhook", help="No webhook backend.")] = False,
    set_flags: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any --audit-* flag.")
    ] = None,
    unset: Annotated[
        list[str] | None, typer.Option("--unset", metavar="NAME", help="Take an --audit-* flag out.")
    ] = None,
    readers: Annotated[
        str | None, typer.Option(metavar="GROUP", help="Let GROUP read a log directory of ours (default ACL).")
    ] = None,
    embed_certs: Annotated[
        bool, typer.Option("--embed-certs", help="Make the files that the webhook's kubeconfig names part of it.")
    ] = False,
    persist: Annotated[
        bool, typer.Option("--persist", help="Also write kubeadm-config, once the node has proved healthy.")
    ] = False,
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    timeout: Timeout = "5m",
    drain: Drain = None,
    allow: Allow = None,
    strict: Strict = False,
    no_rollback: NoRollback = False,
    no_downtime: NoDowntime = "",
    yes: Yes = False,
) -> None:
    """Switch auditing on, or change it; the same again does nothing."""
    asked = EnableOptions(
        policy,
        policy_path,
        log_path,
        no_log,
        log_maxage,
        log_maxbackup,
        log_maxsize,
        webhook_config,
        no_webhook,
        set_flags,
        unset,
        readers,
        embed_certs,
        persist,
        dry_run,
        no_wait,
        timeout,
        drain,
        allow,
        strict,
        no_rollback,
        yes,
        no_downtime,
    )
    finish(context, "enable", enabling(asked))


def disable(
    context: typer.Context,
    purge: Annotated[bool, typer.Option("--purge", help="Also remove policy and webhook file.")] = False,
    purge_logs: Annotated[
        bool, typer.Option("--purge-logs", help="Also remove the audit log and its rotated files (with --yes).")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before the restart; needed with --purge-logs.")
    ] = False,
    persist: Annotated[
        bool, typer.Option("--persist", help="Also write kubeadm-config, once the node has proved healthy.")
    ] = False,
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    timeout: Timeout = "5m",
    drain: Drain = None,
    allow: Allow = None,
    strict: Strict = False,
    no_rollback: NoRollback = False,
    no_downtime: NoDowntime = "",
) -> None:
    """Take auditing out: every flag, and each volume or mount that serves nothing else."""
    how = persisting(how_of(dry_run, no_wait, timeout, drain, allow, strict, no_rollback, yes, no_downtime), persist)

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.disable import Purge
        from auditctl.operations.disable import disable as run

        return run(plane, Purge(purge, purge_logs, yes), how)

    finish(context, "disable", operation)


def restart(
    context: typer.Context,
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    timeout: Timeout = "5m",
    drain: Drain = None,
    allow: Allow = None,
    strict: Strict = False,
    no_rollback: NoRollback = False,
    no_downtime: NoDowntime = "",
    yes: Yes = False,
) -> None:
    """Validate the policy on disk, restart so that it is loaded, prove it."""
    how = how_of(dry_run, no_wait, timeout, drain, allow, strict, no_rollback, yes, no_downtime)

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.restart import restart as run

        return run(plane, how)

    finish(context, "restart", operation)


def rollback(
    context: typer.Context,
    change_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="See `auditctl history`.")] = None,
    dry_run: DryRun = False,
    no_wait: NoWait = False,
    timeout: Timeout = "5m",
    drain: Drain = None,
    allow: Allow = None,
    strict: Strict = False,
    no_rollback: NoRollback = False,
    no_downtime: NoDowntime = "",
    yes: Yes = False,
) -> None:
    """Undo the last change, or ID and our later ones."""
    how = how_of(dry_run, no_wait, timeout, drain, allow, strict, no_rollback, yes, no_downtime)

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.rollback import rollback as run

        return run(plane, change_id, how)

    finish(context, "rollback", operation)


def status(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Again every two seconds, until Ctrl-C.")] = False,
) -> None:
    """What the manifest says, what the process runs with, what it loaded; drift and strays named."""
    from auditctl.operations.evidence.counters import Memory
    from auditctl.operations.status import status as run

    memory = Memory() if watch else None
    _once_or_watch(context, "status", lambda plane: run(plane, memory), watch=watch)


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
    watch: Annotated[bool, typer.Option("--watch", help="Again every two seconds, until Ctrl-C.")] = False,
) -> None:
    """Prove now that a request is recorded; exit 1 if not."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.verify import VerifyOptions
        from auditctl.operations.verify import verify as run

        texts = (tuple(each or ()) for each in (policy, flag, expect))
        return run(plane, VerifyOptions.parse(*texts, takes_unknown=unknown_resources))

    _once_or_watch(context, "verify", operation, watch=watch)


def history(context: typer.Context) -> None:
    """The changes on this node: id, who, what, how it ended."""
    from auditctl.operations.history import history as run

    finish(context, "history", run)


def recover(
    context: typer.Context,
    unit: Annotated[
        bool, typer.Option("--unit", help="Print the systemd unit that does it before the kubelet starts.")
    ] = False,
) -> None:
    """Finish or undo an interrupted change."""
    from auditctl.operations import boot_unit
    from auditctl.operations.recover import recover as run

    program = (sys.executable, str(Path(sys.argv[0]).resolve()))
    finish(context, "recover", (lambda _: boot_unit.unit(program)) if unit else run)


def _once_or_watch(
    context: typer.Context, command: str, operation: Callable[[ControlPlane], Report], *, watch: bool
) -> None:
    if not watch:
        finish(context, command, operation)
    try:
        while True:
            code, is_read = look(context.obj, command, operation)
            if code == _INTERRUPTED or not is_read:
                raise typer.Exit(0)
            time.sleep(_WATCH_SECONDS)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


COMMANDS: Mapping[str, Callable[..., None]] = {
    command.__name__: command
    for command in (enable, disable, status, verify, restart, rollback, history, doctor, recover)
}
