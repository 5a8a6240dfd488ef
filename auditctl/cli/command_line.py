"""Read a command line: the program's name, and the global options, which may stand before or after the command."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import NamedTuple

from auditctl.hints import PROGRAM, program_name

_PROGRAM: ContextVar[str] = ContextVar("program", default=PROGRAM)


def set_program(argument: str) -> None:
    """Note ``argv[0]``, from which the program's name is derived."""
    _PROGRAM.set(program_name(argument))


def program() -> str:
    """Return the program's name as usage lines and hints show it."""
    return _PROGRAM.get()


WITH_VALUE = ("--rootfs", "--manifest", "--state-dir", "--kubeconfig", "--output", "-o")
WITHOUT_VALUE = ("--quiet", "-q", "--verbose", "-v", "--version")


class CommandLine(NamedTuple):
    """A command line apart: global options with their values, what is left, and an option that lacks its value."""

    front: list[str]
    rest: list[str]
    lacking: str = ""

    @property
    def words(self) -> list[str]:
        return self.front + self.rest


def hoist(words: Sequence[str]) -> CommandLine:
    """Take the global options out; whatever stands behind ``--`` is left alone."""
    front: list[str] = []
    rest: list[str] = []
    stream = iter(words)
    for word in stream:
        if word == "--":
            rest += [word, *stream]
        elif word in WITHOUT_VALUE or _has_value_in_it(word):
            front.append(word)
        elif word in WITH_VALUE:
            value = next(stream, None)
            if value is None:
                return CommandLine(front, rest, word)
            front += [word, value]
        else:
            rest.append(word)
    return CommandLine(front, rest)


def _has_value_in_it(word: str) -> bool:
    """Tell whether the word has its value in it: ``--rootfs=DIR`` or ``-ojson``."""
    long = any(word.startswith(f"{name}=") for name in WITH_VALUE if name.startswith("--"))
    return long or (word.startswith("-o") and len(word) > 2)
