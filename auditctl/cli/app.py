"""The way in and out: a plain line at once, everything else through typer; the exit code is the state of the node."""

from __future__ import annotations

import os
import sys

from auditctl.cli.global_options import CommandLine, hoist
from auditctl.cli.output import write
from auditctl.errors import UsageError


def run(argv: list[str]) -> int:
    """Run the words of a command line; the exit code is the state of the node."""
    hoisted = hoist(_with_values(argv[1:]))
    if hoisted.lacking:
        write(sys.stderr, f"auditctl: the option {hoisted.lacking} needs a value (see auditctl --help)")
        return 2
    try:
        if (code := _plainly(hoisted)) is not None:
            return code
        from auditctl.cli.application import build

        if "_AUDITCTL_COMPLETE" in os.environ:  # a shell asks what could come next
            from typer._completion_classes import completion_init

            completion_init()
        build(hoisted.rest)(args=hoisted.words, prog_name="auditctl")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except UsageError as error:
        write(sys.stderr, f"auditctl: {error}" + (f" ({error.fix})" if error.fix else ""))
        return error.exit_code
    return 0


def _with_values(words: list[str]) -> list[str]:
    """Return the words with the value of an option that may do without one: typer knows no such option."""
    end = words.index("--") if "--" in words else len(words)
    return [f"{word}=true" if word == "--no-downtime" else word for word in words[:end]] + words[end:]


def _plainly(hoisted: CommandLine) -> int | None:
    """Run a line that needs no typer; None for any other. Each brings its own modules, and no other's."""
    match hoisted.rest[:2]:
        case ["enable", *_]:
            from auditctl.cli import plain
            from auditctl.cli.context import look
            from auditctl.cli.enable_options import enabling

            line = plain.read(hoisted)
            return None if line is None else look(line[0], "enable", enabling(line[1]))[0]
        case ["policy", "validate"]:
            from auditctl.cli import policy_plain

            asked = policy_plain.read(hoisted)
            return None if asked is None else policy_plain.run(asked)
        case _:
            return None
