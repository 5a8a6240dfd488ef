"""Shell completion: the script of a shell, as kubectl and kubeadm print theirs, and the answer to that script."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from auditctl.cli.context import run_and_exit
from auditctl.errors import UsageError
from auditctl.operations.answer import CommandResult, text_result
from auditctl.report import ManifestChange, Outcome, Report

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_AUDITCTL_COMPLETE"  # what click looks for, for a program called auditctl


def completion(
    context: typer.Context,
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="The shell.")],
) -> None:
    """Print the completion script of a shell: source <(auditctl completion bash)."""
    program = Path(sys.argv[0]).name  # also kube-auditctl, kubectl-auditctl
    program = program if "auditctl" in program else "auditctl"

    def operation(_: object) -> CommandResult:
        if shell not in SHELLS:
            raise UsageError(f"completion {shell}: not one of {', '.join(SHELLS)}")
        return text_result(Report("completion", Outcome.UNCHANGED, script(program, shell), ManifestChange("")))

    run_and_exit(context, "completion", operation)


def script(program: str, shell: str) -> str:
    """Return the script: it calls ``program`` again under a variable, and `answer_shell` answers."""
    from typer._completion_shared import get_completion_script

    return get_completion_script(prog_name=program, complete_var=VARIABLE, shell=shell).strip()


def answer_shell(command: Any) -> int:
    """Print what could come next on the command line that the shell's script left in the environment."""
    from typer._completion_classes import completion_init

    completion_init()
    try:
        command.main(args=[], prog_name="auditctl")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    return 0
