"""``auditctl policy``: what a policy says, before any server reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import typer

from auditctl.cli.context import FORMATS, run_and_exit
from auditctl.cli.findings_formats import FINDINGS_FORMATS, in_format
from auditctl.cli.help_command import CommandWithExamples, GroupWithPanels
from auditctl.cli.options import Discovery, UnknownResources
from auditctl.cli.policy_edit import edit
from auditctl.cli.review_commands import coverage, diff, expect_decisions, schema
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane

Kubernetes = Annotated[
    str | None,
    typer.Option(
        metavar="VERSION", help="The server's version; default: the manifest's image tag, else the newest known."
    ),
]
Log = Annotated[
    list[str] | None,
    typer.Option(
        "--log", metavar="LOG", help="Repeatable; .gz, directories, -; default: the node's own with its rotated files."
    ),
]
More = Annotated[list[str] | None, typer.Argument(metavar="[LOG...]", help="More logs.", show_default=False)]
Processes = Annotated[int | None, typer.Option("--processes", min=1, metavar="N", help="Default: one a core.")]
File = Annotated[str, typer.Argument(metavar="FILE", help="A policy; - is standard input, a bare word a shipped one.")]


def list_policies(context: typer.Context) -> None:
    """The shipped policies, each with what it is for."""

    def operation(plane: ControlPlane) -> CommandResult:  # noqa: ARG001
        from auditctl.operations.policy import validate as policy_validate

        return policy_validate.shipped()

    run_and_exit(context, "policy list", operation)


def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    modeline: Annotated[
        bool,
        typer.Option(
            "--modeline", help="Begin with the line by which editors find audit-policy.schema.json beside it."
        ),
    ] = False,
) -> None:
    """Print a shipped policy."""

    def operation(plane: ControlPlane) -> CommandResult:  # noqa: ARG001
        from auditctl.operations.policy import validate as policy_validate

        return policy_validate.show(name, modeline=modeline)

    run_and_exit(context, "policy show", operation)


def validate(
    context: typer.Context,
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE...", help="Policies, files that hold some, folders, patterns; - is standard input."
        ),
    ] = None,
    kubernetes: Kubernetes = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings make the exit code 1 too.")] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CHECK", help="Of the warnings, only those of CHECK.")
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", metavar="CHECK", help="Let CHECK pass (--list names them).")
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="Print every check: name, reason, example, fix.")] = False,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Ask this node's own kube-apiserver too: it is started aside, and ended.")
    ] = False,
    discovery: Discovery = "",
) -> None:
    """What the server would refuse, silently drop, and what is surely not meant; exit 1 if it is refused or has dropped fields. -o sarif, junit, github for pipelines."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.policy import validate as policy_validate

        if listing:
            return policy_validate.checks()
        options = policy_validate.ValidateOptions(
            files=tuple(files or ()),
            kubernetes=kubernetes,
            strict=strict,
            only=frozenset(only or ()),
            allow=frozenset(allow or ()),
            rehearse=rehearse,
            discovery=discovery,
        )
        return policy_validate.validate(plane, options)

    command = "policy validate"
    run_and_exit(context, command, in_format(context.obj, command, operation), formats=(*FORMATS, *FINDINGS_FORMATS))


def explain(
    context: typer.Context,
    file: File,
    request: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[REQUEST]",
            help="VERB RESOURCE[/SUB][.GROUP] [NAME] [in NAMESPACE] [by USER] [of GROUP...], or METHOD /url [by USER].",
        ),
    ] = None,
    requests: Annotated[
        str | None,
        typer.Option(
            metavar="JSONL", help='Many requests, one {"user", "groups", "method", "url"} a line; - is standard input.'
        ),
    ] = None,
    verb: Annotated[str | None, typer.Option(metavar="VERB", help="get, list, watch, create, ...")] = None,
    resource: Annotated[str | None, typer.Option(metavar="RESOURCE[/SUB]")] = None,
    group: Annotated[
        str | None,
        typer.Option(metavar="GROUP", help="API group; '' is the core group; default: the one that serves it."),
    ] = None,
    namespace: Annotated[str | None, typer.Option("-n", "--namespace", metavar="NAMESPACE")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME")] = None,
    method: Annotated[str | None, typer.Option(metavar="METHOD", help="With --url; default: GET.")] = None,
    url: Annotated[str | None, typer.Option(metavar="URL", help="The request target, query included.")] = None,
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="Default: kubernetes-admin; '' is nobody (a 401).")
    ] = None,
    user_group: Annotated[
        list[str] | None, typer.Option(metavar="GROUP", help="Default: what the server gives to such a user.")
    ] = None,
    kubernetes: Kubernetes = None,
    unknown_resources: UnknownResources = False,
    discovery: Discovery = "",
) -> None:
    """Which rule decides a request, at which line, what is recorded, and why the rules before it do not apply."""
    from auditctl.operations.policy.explain import ExplainRequest

    explained = ExplainRequest(
        words=" ".join(request or ()),
        verb=verb,
        resource=resource,
        group=group,
        namespace=namespace,
        name=name,
        method=method,
        url=url,
        user=user,
        user_groups=tuple(user_group or ()),
    )
    if explained.given == (requests is not None):
        raise typer.BadParameter("specify one request, in words or by options, or a file of them with --requests")

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.policy import explain as policy_explain
        from auditctl.operations.policy import explain_many

        if requests is not None:
            return explain_many.explain_many(plane, file, requests, kubernetes, context.obj.output)
        return policy_explain.explain_one(
            plane, file, explained, kubernetes, takes_unknown=unknown_resources, discovery=discovery
        )

    run_and_exit(context, "policy explain", operation)


def matrix(
    context: typer.Context,
    file: File,
    html: Annotated[
        str | None,
        typer.Option("--html", metavar="OUT", help="Write one self-contained page there; - is standard output."),
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHO",
            help="admin, node, service-account, anonymous (these by default, and whom the rules name), super-admin, nobody (a 401), or USER [of GROUP...]; repeatable.",
        ),
    ] = None,
    kubernetes: Kubernetes = None,
) -> None:
    """The policy as a picture: what is recorded of each verb on each resource, by whom, and which rule says so."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.policy import matrix as policy_matrix

        drawn = policy_matrix.draw(plane, file, tuple(user or ()), kubernetes)
        if html is not None or context.obj.output != "text" or context.obj.quiet:
            return policy_matrix.answer(drawn, html)
        from auditctl.cli.policy_matrix import lines

        return policy_matrix.answer(drawn, None, lines(drawn))

    run_and_exit(context, "policy matrix", operation)


def convert(context: typer.Context, file: File) -> None:
    """Print a v1beta1 or v1alpha1 policy as v1; every byte but the version stays."""

    def operation(plane: ControlPlane) -> CommandResult:  # noqa: ARG001
        from auditctl.operations.policy import compare

        return compare.convert(file)

    run_and_exit(context, "policy convert", operation)


def replay(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A policy, or the name of a shipped one.")],
    more: More = None,
    log: Log = None,
    against: Annotated[
        str | None, typer.Option(metavar="OLD", help="Compare with this policy; default: with what was recorded.")
    ] = None,
    kubernetes: Kubernetes = None,
    processes: Processes = None,
) -> None:
    """What the policy would have made of recorded traffic: events and bytes a rule, what falls out of sight."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.policy.replay import ReplayOptions, policy_replay

        return policy_replay(plane, ReplayOptions(file, (*(log or ()), *(more or ())), against, kubernetes, processes))

    run_and_exit(context, "policy replay", operation)


def suggest(
    context: typer.Context,
    more: More = None,
    log: Log = None,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The policy that the rules are added to; default: the node's with its own log, else baseline.",
        ),
    ] = None,
    most: Annotated[int, typer.Option("-n", min=1, metavar="N", help="Rules at most.")] = 8,
    kubernetes: Kubernetes = None,
    processes: Processes = None,
) -> None:
    """Rules that would save most without hiding anything sensitive: prints the policy with them in it."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.policy.suggest import SuggestOptions, policy_suggest

        return policy_suggest(plane, SuggestOptions((*(log or ()), *(more or ())), policy, most, kubernetes, processes))

    run_and_exit(context, "policy suggest", operation)


COMMANDS: Mapping[str, Callable[..., None]] = {
    "list": list_policies,
    "show": show,
    "validate": validate,
    "explain": explain,
    "test": expect_decisions,
    "diff": diff,
    "matrix": matrix,
    "convert": convert,
    "coverage": coverage,
    "edit": edit,
    "replay": replay,
    "suggest": suggest,
    "schema": schema,
}


def build(words: Sequence[str]) -> typer.Typer:
    """The group for a command line: only the asked command is built, all of them where none is (help, a typo)."""
    app = typer.Typer(
        cls=GroupWithPanels,
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Check, explain, compare and convert audit policies.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    rest = words[words.index("policy") + 1 :] if "policy" in words else ()
    named = next(iter(rest), None)
    for name, command in COMMANDS.items():
        if named == name or named not in COMMANDS:
            app.command(name, cls=CommandWithExamples)(command)
    return app
