"""The way in and out: a plain line at once, everything else through typer; the exit code is the state of the node."""

from __future__ import annotations

import sys

from auditctl.cli import plain
from auditctl.cli.asked import enabling
from auditctl.cli.context import look
from auditctl.cli.hoist import hoist
from auditctl.cli.output import write
from auditctl.errors import UsageError


def run(argv: list[str]) -> int:
    """Run the words of a command line; the exit code is the state of the node."""
    hoisted = hoist(argv[1:])
    if hoisted.lacking:
        write(sys.stderr, f"auditctl: the option {hoisted.lacking} needs a value (see auditctl --help)")
        return 2
    try:
        if (line := plain.read(hoisted)) is not None:
            said, asked = line
            return look(said, "enable", enabling(asked))[0]
        from auditctl.cli.application import build

        build(hoisted.rest)(args=hoisted.words, prog_name="auditctl")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except UsageError as error:
        write(sys.stderr, f"auditctl: {error}" + (f" ({error.fix})" if error.fix else ""))
        return error.exit_code
    return 0
