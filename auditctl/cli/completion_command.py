"""``completion``: the script of a shell, as kubectl and kubeadm print theirs; and the answer to that script."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from auditctl.errors import UsageError
from auditctl.report import ManifestChange, Outcome, Report

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_AUDITCTL_COMPLETE"  # what click looks for, for a program called auditctl


def completion(
    context: typer.Context,
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="The shell.")],
) -> None:
    """Print the completion script of a shell: source <(auditctl completion bash)."""
    from auditctl.cli.context import finish

    program = Path(sys.argv[0]).name  # also kube-auditctl, kubectl-auditctl
    program = program if "auditctl" in program else "auditctl"

    def operation(_: object) -> Report:
        if shell not in SHELLS:
            raise UsageError(f"completion {shell}: not one of {', '.join(SHELLS)}")
        return Report("completion", Outcome.UNCHANGED, script(program, shell), ManifestChange(""))

    finish(context, "completion", operation)


def script(program: str, shell: str) -> str:
    """The script: it calls ``program`` again under a variable, and is answered by `typer`."""
    from typer._completion_shared import get_completion_script

    return get_completion_script(prog_name=program, complete_var=VARIABLE, shell=shell).strip()
