"""``auditctl kubeadm``, ``cis`` and ``flags``: settings, judged against kubeadm's record, a benchmark, a version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from auditctl.cli.context import run_and_exit
from auditctl.cli.enable_options import SetFlags
from auditctl.cli.help_command import CommandWithExamples, GroupWithPanels
from auditctl.cli.options import Allow, ChangeArguments, DryRun, Strict, flag_pairs
from auditctl.operations.answer import CommandResult, text_result
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import Report

app = typer.Typer(
    cls=GroupWithPanels,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Keep audit settings through kubeadm upgrade and join.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
Source = Annotated[
    Path | None,
    typer.Option("--from", metavar="FILE", help="A kubeadm configuration file, in place of the cluster's ConfigMap."),
]


@app.command(cls=CommandWithExamples)
def check(context: typer.Context, source: Source = None) -> None:
    """Would kubeadm upgrade keep what this node runs? Exit 1 with what would be lost."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.kubeadm import config as kubeadm_config

        return kubeadm_config.check(plane, source)

    run_and_exit(context, "kubeadm check", operation)


@app.command(cls=CommandWithExamples)
def persist(context: typer.Context, dry_run: DryRun = False, allow: Allow = None, strict: Strict = False) -> None:
    """Write this node's audit settings into the ConfigMap, or take them out where auditing is off."""
    options = ChangeArguments(dry_run=dry_run, no_wait=True, allow=allow, strict=strict)

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.kubeadm import config as kubeadm_config

        return kubeadm_config.persist(plane, options.change_options())

    run_and_exit(context, "kubeadm persist", operation, changes=options.changes_node)


@app.command(cls=CommandWithExamples)
def render(
    context: typer.Context,
    form: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="FORM",
            help="cluster-configuration, patches, kind, job, kubeadmcontrolplane, talos, rke2, k3s, kubespray, minikube or kops.",
        ),
    ],
    kubernetes: Annotated[
        str | None, typer.Option(metavar="VERSION", help="The cluster's version; default: the manifest's, else newest.")
    ] = None,
    set_flags: SetFlags = None,
    image: Annotated[
        str | None, typer.Option(metavar="NAME@sha256:DIGEST", help="The image of auditctl, for --as job.")
    ] = None,
    node: Annotated[
        str | None, typer.Option(metavar="NAME", help="The control plane, for --as job; default: this machine.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy", metavar="FILE", help="The policy that goes along; default: the node's own, else baseline."
        ),
    ] = None,
) -> None:
    """Print the node's audit settings (or the defaults, where there is no manifest) for another tool."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.kubeadm import render as kubeadm_render

        pairs = flag_pairs(set_flags or ())
        return text_result(
            kubeadm_render.rendered(plane, form, kubernetes, pairs, image=image, node=node, policy=policy)
        )

    run_and_exit(context, "kubeadm render", operation)


@app.command("preflight-upgrade", cls=CommandWithExamples)
def preflight_upgrade(
    context: typer.Context,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version to upgrade to, as 1.36.")],
    source: Source = None,
) -> None:
    """What changes meaning for this node's auditing between its version and VERSION. Exit 1 if anything does."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.kubeadm import upgrade

        return upgrade.preflight_upgrade(plane, version, source)

    run_and_exit(context, "kubeadm preflight-upgrade", operation)


def cis(context: typer.Context) -> None:
    """Answer CIS 1.2.16-1.2.19, 3.2.1, 3.2.2 (numbers of 1.27+), with evidence. Exit 1 if one is not met."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations import cis as controls

        return controls.cis(plane)

    run_and_exit(context, "cis", operation)


def flags(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One flag only.")] = None,
    kubernetes: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION", help="The server's version; default: the manifest's image tag, else the newest."
        ),
    ] = None,
) -> None:
    """Every --audit-* flag of a version: type, default, meaning, trap."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.flags import table

        return table(plane, kubernetes, name)

    run_and_exit(context, "flags", operation)
