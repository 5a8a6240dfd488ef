"""The typer application: global options, and the commands in their groups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from auditctl import __version__
from auditctl.cli import help_command, node_commands
from auditctl.cli.command_line import program
from auditctl.cli.completion import completion
from auditctl.cli.context import Globals
from auditctl.cli.help_command import PANELS, CommandWithExamples, GroupWithPanels
from auditctl.hints import Invocation
from auditctl.operations.controlplane import MANIFEST, STATE

_CHANGE, _LOOK, _POLICY, _CLUSTER, _PRACTISE, _OTHERS = PANELS
_NODE_COMMANDS = {
    "enable": _CHANGE,
    "disable": _CHANGE,
    "restart": _CHANGE,
    "rollback": _CHANGE,
    "recover": _CHANGE,
    "status": _LOOK,
    "verify": _LOOK,
    "doctor": _LOOK,
}
COMMAND_WORDS = (
    *_NODE_COMMANDS,
    *("history", "cis", "policy", "log", "flags", "kubeadm", "lab", "help", "version", "completion"),
)
_EPILOG = """Exit codes: 0 done, or already so; 1 the answer is no; 2 wrong command line; 3 refused, nothing was changed; 4 failed
and undone; 5 failed, a person is needed; 70 a bug; 130 interrupted. `auditctl help COMMAND` explains a command, `auditctl help`
lists the topics. Global options may stand before or after the command. Durations are Go's (90s, 5m)."""


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"auditctl {__version__} (Kubernetes API-server auditing; not auditd)")
        raise typer.Exit


def root(
    context: typer.Context,
    rootfs: Annotated[
        Path, typer.Option(metavar="DIR", envvar="AUDITCTL_ROOTFS", help="Treat DIR as the node's root.")
    ] = Path("/"),
    manifest: Annotated[str, typer.Option(metavar="PATH", help="The static Pod manifest.")] = MANIFEST,
    state_dir: Annotated[
        str, typer.Option(metavar="PATH", help="Journal, backups, last known good policy, lock.")
    ] = STATE,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            envvar="AUDITCTL_KUBECONFIG",
            help="Client credentials; default: admin.conf, super-admin.conf, none.",
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="FORMAT", envvar="AUDITCTL_OUTPUT", help="text, json or yaml."),
    ] = "text",
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only the result.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say each step.")] = False,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Switch Kubernetes API-server auditing on, change it, prove it, take it out (kubeadm control planes; not auditd)."""
    for name, path in (("--manifest", manifest), ("--state-dir", state_dir)):
        if not path.startswith("/"):
            raise typer.BadParameter(f"{path!r} is not an absolute path", param_hint=name)
    context.obj = Globals(
        rootfs=rootfs,
        manifest=manifest,
        state_dir=state_dir,
        kubeconfig=kubeconfig,
        output=output,
        quiet=quiet,
        verbose=verbose,
    )


def build(words: Sequence[str]) -> typer.Typer:
    """Return the application for a command line: only the command that it names is built, so that a start stays quick.

    Without a known command word (help, a typo) it has all of them.
    """
    app = typer.Typer(
        name=program(),
        cls=GroupWithPanels,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
        epilog=Invocation(program()).pasteable(_EPILOG),
    )
    app.callback()(root)
    first = next((word for word in words if word in COMMAND_WORDS), None)
    named = None if first == "help" else first
    for name, heading in _NODE_COMMANDS.items():
        if named in (None, name):
            command = app.command(name, cls=CommandWithExamples, rich_help_panel=heading)
            command(node_commands.COMMANDS[name])
    if named in (None, "history"):
        app.add_typer(node_commands.history_app(), name="history", rich_help_panel=_LOOK)
    _add_groups(app, words, named)
    if named in (None, "completion", "version"):
        other = {"cls": CommandWithExamples, "rich_help_panel": _OTHERS}
        app.command("help", **other)(help_command.help_)  # type: ignore[arg-type]  # typer's own keywords
        app.command("version", **other)(help_command.version)  # type: ignore[arg-type]
        app.command("completion", **other)(completion)  # type: ignore[arg-type]
    return app


def _add_groups(app: typer.Typer, words: Sequence[str], named: str | None) -> None:
    if named in (None, "kubeadm", "cis", "flags"):
        from auditctl.cli import kubeadm_commands

        app.command("cis", cls=CommandWithExamples, rich_help_panel=_LOOK)(kubeadm_commands.cis)
        pasted = {"ignore_unknown_options": True}  # people paste a flag with its dashes
        flags = app.command("flags", cls=CommandWithExamples, rich_help_panel=_POLICY, context_settings=pasted)
        flags(kubeadm_commands.flags)
        app.add_typer(kubeadm_commands.app, name="kubeadm", rich_help_panel=_CLUSTER)
    if named in (None, "policy"):
        from auditctl.cli import policy_commands

        app.add_typer(policy_commands.build(words), name="policy", rich_help_panel=_POLICY)
    if named in (None, "log"):
        from auditctl.cli import log_commands

        app.add_typer(log_commands.build(words), name="log", rich_help_panel=_POLICY)
    if named in (None, "lab"):
        from auditctl.cli import lab_commands

        app.add_typer(lab_commands.app, name="lab", rich_help_panel=_PRACTISE)
