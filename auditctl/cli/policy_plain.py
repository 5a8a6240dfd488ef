"""A plain ``policy validate`` line, read without typer: its import alone takes as much CPU as all the rest.

Only files and ``--strict``; anything else (other options, help, a typo) is typer's. ``tests/policycli`` holds both to
the same answers.
"""

from __future__ import annotations

from typing import NamedTuple

from auditctl.cli.context import Globals
from auditctl.cli.global_options import CommandLine
from auditctl.cli.plain_words import globals_of

_COMMAND = ["policy", "validate"]


class Plain(NamedTuple):
    """What such a line says."""

    options: Globals
    files: tuple[str, ...]
    strict: bool


def read(hoisted: CommandLine) -> Plain | None:
    """The line; None where it is not a plain ``policy validate`` of at least one file."""
    if hoisted.rest[:2] != _COMMAND:
        return None
    words = hoisted.rest[2:]
    files = tuple(word for word in words if word != "--strict")
    options = globals_of(hoisted.front)
    if options is None or not files or any(not word or (word.startswith("-") and word != "-") for word in files):
        return None
    return Plain(options, files, len(files) < len(words))


def run(plain: Plain) -> int:
    """Judge the files, print the answer; the exit code."""
    from auditctl.cli.policy_answer import answered
    from auditctl.operations.policy import validate

    asked = validate.ValidateOptions(plain.files, strict=plain.strict)
    return answered(plain.options, "policy validate", lambda plane: validate.validate(plane, asked))
