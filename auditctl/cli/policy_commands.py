"""``auditctl policy``: what a policy says, before any server reads it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from auditctl.cli.context import Globals
from auditctl.cli.options import UnknownResources
from auditctl.cli.output import write
from auditctl.cli.policy_answer import answered, failed
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane

if TYPE_CHECKING:  # validate needs no requests
    from auditctl.operations.policy.explain import ExplainRequest

Kubernetes = Annotated[
    str | None,
    typer.Option(
        metavar="VERSION", help="The server's version; default: the manifest's image tag, else the newest known."
    ),
]
File = Annotated[str, typer.Argument(metavar="FILE", help="A policy; - is standard input, a bare word a shipped one.")]


def _answer(context: typer.Context, command: str, operation: Callable[[ControlPlane], CommandResult]) -> None:
    """Print what the operation answers, exit with its code."""
    raise typer.Exit(answered(context.obj, command, operation))


def _fail(context: typer.Context, command: str, error: BaseException) -> None:
    raise typer.Exit(failed(context.obj, command, error))


def list_policies(context: typer.Context) -> None:
    """The shipped policies, each with what it is for."""

    def operation(plane: ControlPlane) -> CommandResult:  # noqa: ARG001
        from auditctl.operations.policy import validate as policy_validate

        return policy_validate.shipped()

    _answer(context, "policy list", operation)


def show(context: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Print a shipped policy."""

    def operation(plane: ControlPlane) -> CommandResult:  # noqa: ARG001
        from auditctl.operations.policy import validate as policy_validate

        return policy_validate.show(name)

    _answer(context, "policy show", operation)


def validate(
    context: typer.Context,
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE...", help="Policies; - is standard input.")] = None,
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
    discovery: Annotated[
        str, typer.Option(metavar="FILE", help="What the cluster serves: `kubectl api-resources -o wide`, or JSON.")
    ] = "",
) -> None:
    """What the server would refuse, silently drop, and what is surely not meant; exit 1 if it is refused or has dropped fields."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.policy import validate as policy_validate

        if listing:
            return policy_validate.checks()
        asked = policy_validate.ValidateOptions(
            tuple(files or ()), kubernetes, strict, frozenset(only or ()), frozenset(allow or ()), rehearse, discovery
        )
        return policy_validate.validate(plane, asked)

    _answer(context, "policy validate", operation)


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
) -> None:
    """Which rule decides a request, at which line, what is recorded, and why the rules before it do not apply."""
    from auditctl.operations.policy.explain import ExplainRequest

    asked = ExplainRequest(
        " ".join(request or ()), verb, resource, group, namespace, name, method, url, user, tuple(user_group or ())
    )
    if asked.given == (requests is not None):
        raise typer.BadParameter("name one request, in words or by options, or a file of them with --requests")
    if requests is not None:
        _stream(context, file, requests, kubernetes)
    else:
        _explain_one(context, file, asked, kubernetes, takes_unknown=unknown_resources)


def _explain_one(
    context: typer.Context, file: str, asked: ExplainRequest, kubernetes: str | None, *, takes_unknown: bool
) -> None:
    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.policy import explain as policy_explain

        return policy_explain.explain_one(plane, file, asked, kubernetes, takes_unknown=takes_unknown)

    _answer(context, "policy explain", operation)


def _stream(context: typer.Context, file: str, requests: str, kubernetes: str | None) -> None:
    options: Globals = context.obj
    try:
        from auditctl.operations.policy import explain_many

        stream = explain_many.explain_many(options.plane(), file, requests, kubernetes, options.output)
        for note in () if options.quiet else stream.notes:
            write(sys.stderr, note)
        for chunk in stream.chunks:
            write(sys.stdout, chunk)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (as in `_answer`)
        _fail(context, "policy explain", error)


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
) -> None:
    """Does the policy decide as expected? Exit 1 with a table of what differs."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.policy import compare

        return compare.test(plane, file, expect, kubernetes, takes_unknown=unknown_resources)

    _answer(context, "policy test", operation)


def diff(
    context: typer.Context,
    old: Annotated[str, typer.Argument(metavar="OLD")],
    new: Annotated[str, typer.Argument(metavar="NEW")],
    kubernetes: Kubernetes = None,
) -> None:
    """Which requests change level, stages or managed fields; exit 1 if any does."""

    def operation(plane: ControlPlane) -> CommandResult:
        from auditctl.operations.policy import compare

        return compare.diff(plane, old, new, kubernetes)

    _answer(context, "policy diff", operation)


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
            help="admin, node, service-account, anonymous (these four by default), nobody (a 401), or USER [of GROUP...]; repeatable.",
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

    _answer(context, "policy matrix", operation)


def convert(context: typer.Context, file: File) -> None:
    """Print a v1beta1 or v1alpha1 policy as v1; every byte but the version stays."""
    try:
        from auditctl.operations.policy import compare

        text = compare.convert(file)
        sys.stdout.flush()
        write_bytes(text)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (as in `_answer`)
        _fail(context, "policy convert", error)


def write_bytes(text: bytes) -> None:
    """To standard output as they are: no line end is added, none is changed."""
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


COMMANDS: Mapping[str, Callable[..., None]] = {
    "list": list_policies,
    "show": show,
    "validate": validate,
    "explain": explain,
    "test": expect_decisions,
    "diff": diff,
    "matrix": matrix,
    "convert": convert,
}


def build(words: Sequence[str]) -> typer.Typer:
    """The group for a command line: only the asked command is built, all of them where none is (help, a typo)."""
    app = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Audit policies: is it legal, is it meant, what will it record.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    rest = words[words.index("policy") + 1 :] if "policy" in words else ()
    asked = next(iter(rest), None)
    for name, command in COMMANDS.items():
        if asked == name or asked not in COMMANDS:
            app.command(name)(command)
    if asked not in COMMANDS:
        from auditctl.cli import coverage_command, replay_commands

        for name, command in {**replay_commands.COMMANDS, "coverage": coverage_command.coverage}.items():
            app.command(name)(command)
    return app
