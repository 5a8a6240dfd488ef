"""``auditctl kubeadm``: what an upgrade keeps of this node's auditing; and ``auditctl cis``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from auditctl.cli.context import finish
from auditctl.cli.options import Allow, DryRun, Strict
from auditctl.cli.values import flag_pairs, how_of
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import Report

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Does kubeadm's own record (the ConfigMap kubeadm-config) carry this node's audit settings?",
    context_settings={"help_option_names": ["-h", "--help"]},
)
Source = Annotated[
    Path | None,
    typer.Option("--from", metavar="FILE", help="A kubeadm configuration file, in place of the cluster's ConfigMap."),
]


@app.command()
def check(context: typer.Context, source: Source = None) -> None:
    """Would kubeadm upgrade keep what this node runs? Exit 1 with what would be lost."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.kubeadm import config as kubeadm_config

        return kubeadm_config.check(plane, source)

    finish(context, "kubeadm check", operation)


@app.command()
def persist(context: typer.Context, dry_run: DryRun = False, allow: Allow = None, strict: Strict = False) -> None:
    """Write this node's audit settings into the ConfigMap, or take them out where auditing is off."""
    how = how_of(dry_run, True, "5m", None, allow, strict, False)

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.kubeadm import config as kubeadm_config

        return kubeadm_config.persist(plane, how)

    finish(context, "kubeadm persist", operation)


@app.command()
def render(
    context: typer.Context,
    form: Annotated[str, typer.Option("--as", metavar="FORM", help="cluster-configuration, patches, kind or job.")],
    kubernetes: Annotated[
        str | None, typer.Option(metavar="VERSION", help="The cluster's version; default: the manifest's, else newest.")
    ] = None,
    set_flags: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any --audit-* flag.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(metavar="NAME@sha256:DIGEST", help="The image of auditctl, for --as job.")
    ] = None,
    node: Annotated[
        str | None, typer.Option(metavar="NAME", help="The control plane, for --as job; default: this machine.")
    ] = None,
) -> None:
    """Print the node's audit settings (or the defaults, where there is no manifest) for another tool."""
    pairs = flag_pairs(set_flags or ())

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.kubeadm import render as kubeadm_render

        return kubeadm_render.rendered(plane, form, kubernetes, pairs, image=image, node=node)

    finish(context, "kubeadm render", operation)


@app.command("preflight-upgrade")
def preflight_upgrade(
    context: typer.Context,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version to upgrade to, as 1.36.")],
    source: Source = None,
) -> None:
    """What changes meaning for this node's auditing between its version and VERSION. Exit 1 if anything does."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations.kubeadm import upgrade

        return upgrade.preflight_upgrade(plane, version, source)

    finish(context, "kubeadm preflight-upgrade", operation)


def cis(context: typer.Context) -> None:
    """Answer CIS 1.2.16-1.2.19, 3.2.1, 3.2.2 (numbers of 1.27+), with evidence. Exit 1 if one is not met."""

    def operation(plane: ControlPlane) -> Report:
        from auditctl.operations import cis as controls

        return controls.cis(plane)

    finish(context, "cis", operation)
