"""Under which name the program was called: usage lines and hints repeat it."""

from __future__ import annotations

from contextvars import ContextVar

from auditctl.hints import PROGRAM, program_name

_PROGRAM: ContextVar[str] = ContextVar("program", default=PROGRAM)


def set_program(argument: str) -> None:
    """Note ``argv[0]``, from which the program's name is derived."""
    _PROGRAM.set(program_name(argument))


def program() -> str:
    """Return the program's name as usage lines and hints show it."""
    return _PROGRAM.get()
