"""Under which name the program was called, and for which node: the one place where hints learn of the command line."""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from auditctl.hints import PROGRAM, Invocation, program_name
from auditctl.operations.controlplane import MANIFEST, STATE

if TYPE_CHECKING:
    from auditctl.cli.context import Globals

_PROGRAM: ContextVar[str] = ContextVar("program", default=PROGRAM)


def set_program(argument: str) -> None:
    """Note ``argv[0]``, from which the program's name is derived."""
    _PROGRAM.set(program_name(argument))


def program() -> str:
    """Return the program's name as usage lines and hints show it."""
    return _PROGRAM.get()


def invocation(options: Globals) -> Invocation:
    """Return what a hint has to repeat: the program's name, and each global option that is not at its default."""
    given = (
        ("--rootfs", options.rootfs, Path("/")),
        ("--manifest", options.manifest, MANIFEST),
        ("--state-dir", options.state_dir, STATE),
        ("--kubeconfig", options.kubeconfig, None),
    )
    return Invocation(program(), tuple((name, str(value)) for name, value, usual in given if value != usual))
