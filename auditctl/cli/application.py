"""The typer application: global options, the commands in their groups, and the way out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from auditctl import __version__
from auditctl.cli import node_commands
from auditctl.cli.context import Globals
from auditctl.cli.invocation import program
from auditctl.hints import Invocation
from auditctl.operations.controlplane import MANIFEST, STATE

_GROUPS = ("lab", "policy", "log", "kubeadm", "cis", "flags", "completion")
_EPILOG = """Examples: auditctl enable --policy p.yaml | auditctl enable --dry-run | auditctl verify | auditctl disable --purge |
auditctl lab demo. Exit codes: 0 done, or already so; 1 the answer is no; 2 usage; 3 refused, nothing was changed; 4 failed, put
back, the old configuration serves; 5 failed, a human is needed; 70 a bug of ours; 130 interrupted. Global options may stand
before or after the command. Durations are Go's (90s, 5m)."""


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"auditctl {__version__} (Kubernetes API-server auditing; not auditd)")
        raise typer.Exit


def root(
    context: typer.Context,
    rootfs: Annotated[Path, typer.Option(metavar="DIR", help="Treat DIR as the node's root.")] = Path("/"),
    manifest: Annotated[str, typer.Option(metavar="PATH", help="The static Pod manifest.")] = MANIFEST,
    state_dir: Annotated[
        str, typer.Option(metavar="PATH", help="Journal, backups, last known good policy, lock.")
    ] = STATE,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Client credentials; default: admin.conf, super-admin.conf, none."),
    ] = None,
    output: Annotated[str, typer.Option("-o", "--output", metavar="FORMAT", help="text, json or yaml.")] = "text",
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only the result.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Say each step.")] = False,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Switch Kubernetes API-server auditing on, change it, prove it, take it out (kubeadm control planes; not auditd)."""
    if output not in ("text", "json", "yaml"):
        raise typer.BadParameter(f"{output!r} is not one of text, json, yaml", param_hint="--output")
    for name, path in (("--manifest", manifest), ("--state-dir", state_dir)):
        if not path.startswith("/"):
            raise typer.BadParameter(f"{path!r} is not an absolute path", param_hint=name)
    context.obj = Globals(rootfs, manifest, state_dir, kubeconfig, output, quiet, verbose)


def build(words: Sequence[str]) -> typer.Typer:
    """The application for a command line: only the asked command is built, so that a start stays quick.

    Without a known command word (help, a typo) it has all of them.
    """
    app = typer.Typer(
        name=program(),
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
        epilog=Invocation(program()).pasteable(_EPILOG),
    )
    app.callback()(root)
    asked = next((word for word in words if word in (*node_commands.COMMANDS, *_GROUPS)), None)
    for name, command in node_commands.COMMANDS.items():
        if asked in (None, name):
            app.command(name, hidden=name == "recover")(command)
    if asked in (None, "lab"):
        from auditctl.cli import lab_commands

        app.add_typer(lab_commands.app, name="lab")
    if asked in (None, "policy"):
        from auditctl.cli import policy_commands

        app.add_typer(policy_commands.build(words), name="policy")
    if asked in (None, "log"):
        from auditctl.cli import log_commands

        app.add_typer(log_commands.build(words), name="log")
    if asked in (None, "kubeadm", "cis"):
        from auditctl.cli import kubeadm_commands

        app.add_typer(kubeadm_commands.app, name="kubeadm")
        app.command("cis")(kubeadm_commands.cis)
    if asked in (None, "flags"):
        from auditctl.cli.flag_commands import flags

        app.command("flags")(flags)
    if asked in (None, "completion"):
        from auditctl.cli.completion_command import completion

        app.command("completion")(completion)
    return app
