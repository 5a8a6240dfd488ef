"""``auditctl policy test``, ``diff``, ``coverage``, ``schema``: what a review of a policy asks, also from a pipeline."""

from __future__ import annotations

from typing import Annotated

import typer

from auditctl.cli.context import FORMATS, run_and_exit
from auditctl.cli.findings_formats import FINDINGS_FORMATS, in_format
from auditctl.cli.options import Discovery, UnknownResources
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane

Kubernetes = Annotated[
    str | None,
    typer.Option(
        metavar="VERSION", help="The server's version; default: the manifest's image tag, else the newest known."
    ),
]
File = Annotated[str, typer.Argument(metavar="FILE", help="A policy; - is standard input, a bare word a shipped one.")]


def expect_decisions(
    context: typer.Context,
    file: File,
    expect: Annotated[
        str,
        typer.Argument(
            metavar="EXPECT", help="YAML: a list of `REQUEST -> LEVEL`, or of mappings with rule and stages."
        ),
    ],
    kubernetes: Kubernetes = None,
    unknown_resources: UnknownResources = False,
    discovery: Discovery = "",
) -> None:
    """Does the policy decide as expected? Exit 1 with a table of what differs; -o junit, sarif, github for pipelines."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.policy import compare

        return compare.test(plane, file, expect, kubernetes, takes_unknown=unknown_resources, discovery=discovery)

    command = "policy test"
    run_and_exit(context, command, in_format(context.obj, command, operation), formats=(*FORMATS, *FINDINGS_FORMATS))


def diff(
    context: typer.Context,
    before: Annotated[str, typer.Argument(metavar="OLD")],
    after: Annotated[
        str | None, typer.Argument(metavar="[NEW]", help="Left out with --git.", show_default=False)
    ] = None,
    git: Annotated[
        str | None,
        typer.Option("--git", metavar="REV", help="Compare FILE with what it was in this revision: --git main FILE."),
    ] = None,
    kubernetes: Kubernetes = None,
) -> None:
    """Which requests change level, stages or managed fields; exit 1 if any does. -o sarif, junit, github for pipelines."""
    if (after is None) == (git is None):
        raise typer.BadParameter("specify OLD and NEW, or one FILE with --git REV")

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.policy import compare

        return (
            compare.diff(plane, before, after, kubernetes)
            if after
            else compare.diff_with_revision(plane, git or "", before, kubernetes)
        )

    command = "policy diff"
    run_and_exit(context, command, in_format(context.obj, command, operation), formats=(*FORMATS, *FINDINGS_FORMATS))


def coverage(
    context: typer.Context,
    file: File,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--for",
            metavar="SET",
            help="falco, sigma, elastic, or a file in the format of detections.yaml; commas or repeated; default: all three.",
        ),
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option("--log", metavar="LOG", help="Logs or tallies: count the requests that a blind detection misses."),
    ] = None,
    kubernetes: Kubernetes = None,
) -> None:
    """Which public detections can never fire under the policy, why, and the least change; exit 1 if there are any."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.policy.coverage import CoverageOptions, policy_coverage

        names = tuple(name for each in sets or () for name in each.split(",") if name)
        return policy_coverage(plane, CoverageOptions(file, names, kubernetes, tuple(log or ())))

    command = "policy coverage"
    run_and_exit(context, command, in_format(context.obj, command, operation), formats=(*FORMATS, *FINDINGS_FORMATS))


def schema(
    context: typer.Context,
    kubernetes: Kubernetes = None,
    of: Annotated[
        str, typer.Option(metavar="FORMAT", help="policy, or our own: report, expectations, requirements, tally.")
    ] = "policy",
) -> None:
    """Print the JSON Schema (draft 07) of audit policies, for editors, kubeconform and check-jsonschema."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.policy import schema as policy_schema

        return policy_schema.schema(plane, kubernetes, of)

    run_and_exit(context, "policy schema", operation)
