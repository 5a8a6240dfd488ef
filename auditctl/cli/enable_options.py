"""What ``enable`` was asked on the command line, and the operation that it asks for. No typer here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from auditctl.cli.values import flag_pairs, how_of, persisting, plain_name
from auditctl.errors import UsageError
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import Report
from auditctl.settings import Settings


class EnableOptions(NamedTuple):
    """The options of ``enable``, texts as they were typed; names and defaults are those of the command."""

    policy: str | None = None
    policy_path: str | None = None
    log_path: str | None = None
    no_log: bool = False
    log_maxage: int | None = None
    log_maxbackup: int | None = None
    log_maxsize: int | None = None
    webhook_config: Path | None = None
    no_webhook: bool = False
    set_flags: Sequence[str] | None = None
    unset: Sequence[str] | None = None
    readers: str | None = None
    embed_certs: bool = False
    persist: bool = False
    dry_run: bool = False
    no_wait: bool = False
    timeout: str = "5m"
    drain: str | None = None
    allow: Sequence[str] | None = None
    strict: bool = False
    no_rollback: bool = False
    yes: bool = False


def enabling(asked: EnableOptions) -> Callable[[ControlPlane], Report]:
    """The operation.

    Raises:
        UsageError: a text is not of its option's form, or two options exclude each other.
    """
    if asked.policy == "":
        raise UsageError("--policy: the name is empty")
    if asked.no_log and asked.log_path is not None:
        raise UsageError("--no-log and --log-path exclude each other")
    if asked.embed_certs and asked.webhook_config is None:
        raise UsageError("--embed-certs goes with --webhook-config")
    if asked.no_webhook and asked.webhook_config is not None:
        raise UsageError("--no-webhook and --webhook-config exclude each other")
    settings = Settings(
        asked.policy_path,
        asked.log_path,
        False if asked.no_log else (True if asked.log_path is not None else None),
        asked.log_maxage,
        asked.log_maxbackup,
        asked.log_maxsize,
        False if asked.no_webhook else (True if asked.webhook_config is not None else None),
        flag_pairs(asked.set_flags or ()),
        frozenset(plain_name(name) for name in asked.unset or ()),
    )
    how = how_of(
        asked.dry_run,
        asked.no_wait,
        asked.timeout,
        asked.drain,
        asked.allow,
        asked.strict,
        asked.no_rollback,
        asked.yes,
    )
    how = persisting(how, asked.persist)

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.enable import EnableRequest, enable

        return enable(
            plane, EnableRequest(settings, asked.policy, asked.webhook_config, asked.readers, asked.embed_certs), how
        )

    return operation
