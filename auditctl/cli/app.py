"""The way in and out: global options to the front, typer for all the words; the exit code is the state of the node."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import typer
from typer.main import get_command

from auditctl.cli.application import build
from auditctl.cli.command_line import hoist, program, set_program
from auditctl.cli.completion import VARIABLE, answer_shell
from auditctl.cli.output import Delivery, not_written, write

_CLICK_ERROR: Any = typer.BadParameter.__mro__[2]  # ClickException; typer 0.26 and later brings its own copy of click
_NO_WHOLE = re.compile(r"'(.*)' is not a valid int(?:eger)?(?: range)?\.?")  # click's words for it
_NO_NUMBER = re.compile(r"'(.*)' is not a valid float(?: range)?\.?")
_INTERRUPTED = 130
_USAGE = 2


def run(argv: list[str]) -> int:
    """Run the words of a command line and return the exit code."""
    if VARIABLE in os.environ:
        return answer_shell(get_command(build([])), argv[1:])
    set_program(argv[0])
    hoisted = hoist(_with_values(argv[1:]))
    if hoisted.lacking:
        write(sys.stderr, f"{program()}: the option {hoisted.lacking} needs a value (see {program()} --help)")
        return _USAGE
    command: Any = get_command(build(hoisted.rest))
    try:
        with command.make_context(program(), hoisted.words) as context:
            command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    except _CLICK_ERROR as error:
        text = _NO_WHOLE.sub(r"'\1' is not a whole number (write 7, not 7d or 7.5)", str(error.message))
        error.message = _NO_NUMBER.sub(r"'\1' is not a number (write 7 or 7.5, not 7d)", text)
        error.show()
        return int(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except OSError as error:  # of --help and --version alone: every command has its own way to stdout
        return 1 if not_written(sys.stdout, error) is Delivery.FAILED else 0
    return 0


def _with_values(words: list[str]) -> list[str]:
    """Return the words with the value of an option that may do without one: typer knows no such option."""
    end = words.index("--") if "--" in words else len(words)
    return [f"{word}=true" if word == "--no-downtime" else word for word in words[:end]] + words[end:]
