"""The options of ``enable``, and the operation that they ask for.

No ``from __future__ import annotations`` here: typer wants the annotations themselves.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from auditctl.cli.options import ChangeArguments, Persist, flag_pairs, plain_name
from auditctl.errors import UsageError
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import Report
from auditctl.settings import Settings

SetFlags = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set any --audit-* flag (repeatable).")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableOptions(ChangeArguments):
    """The options of ``enable``, texts as they were typed. This is their only declaration.

    `tests/cli/test_enable_options.py` compares the Ansible module and the documentation with it.
    """

    policy: Annotated[
        str | None,
        typer.Option(
            metavar="FILE or NAME",
            help="A policy file, or the name of a shipped policy. Default: the policy that is set, else baseline.",
        ),
    ] = None
    policy_path: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Where the policy is installed.  [/etc/kubernetes/audit/policy.yaml]"),
    ] = None
    log_path: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="The log file; - is standard output.  [/var/log/kubernetes/audit/audit.log]"),
    ] = None
    no_log: Annotated[bool, typer.Option("--no-log", help="No log backend.")] = False
    log_maxage: Annotated[int | None, typer.Option(metavar="DAYS", min=0, help="Days to keep rotated files.  [30]")] = (
        None
    )
    log_maxbackup: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Number of rotated files to keep.  [10]")
    ] = None
    log_maxsize: Annotated[
        int | None, typer.Option(metavar="MB", min=0, help="Megabytes at which the log is rotated.  [100]")
    ] = None
    webhook_config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Install this kubeconfig of a webhook backend.")
    ] = None
    no_webhook: Annotated[bool, typer.Option("--no-webhook", help="No webhook backend.")] = False
    set_flags: SetFlags = None
    unset: Annotated[
        list[str] | None, typer.Option("--unset", metavar="NAME", help="Remove an --audit-* flag (repeatable).")
    ] = None
    readers: Annotated[
        str | None,
        typer.Option(metavar="GROUP", help="Give GROUP read access to the log directory (if auditctl created it)."),
    ] = None
    embed_certs: Annotated[
        bool,
        typer.Option("--embed-certs", help="Put the certificate files that the webhook's kubeconfig names into it."),
    ] = False
    persist: Persist = False

    def settings(self) -> Settings:
        """Return the desired state of the audit flags.

        Raises:
            UsageError: a text is not of its option's form, or two options exclude each other.
        """
        self._refuse_excluded_pairs()
        return Settings(
            policy_path=self.policy_path,
            log_path=self.log_path,
            log=False if self.no_log else (True if self.log_path is not None else None),
            log_maxage_days=self.log_maxage,
            log_maxbackup_files=self.log_maxbackup,
            log_maxsize_megabytes=self.log_maxsize,
            webhook=False if self.no_webhook else (True if self.webhook_config is not None else None),
            set_flags=flag_pairs(self.set_flags or ()),
            unset_flags=frozenset(plain_name(name) for name in self.unset or ()),
        )

    def _refuse_excluded_pairs(self) -> None:
        if self.policy == "":
            raise UsageError("--policy: the name is empty")
        if self.no_log and self.log_path is not None:
            raise UsageError("--no-log and --log-path exclude each other")
        if self.embed_certs and self.webhook_config is None:
            raise UsageError("--embed-certs goes with --webhook-config")
        if self.no_webhook and self.webhook_config is not None:
            raise UsageError("--no-webhook and --webhook-config exclude each other")

    def enable(self, plane: ControlPlane) -> Report:
        """Run ``enable`` with these options."""
        from auditctl.operations.enable import EnableRequest, enable

        request = EnableRequest(
            settings=self.settings(),
            policy=self.policy,
            webhook_config=self.webhook_config,
            readers=self.readers,
            embed_certs=self.embed_certs,
        )
        return enable(plane, request, self.change_options(persist=self.persist))
