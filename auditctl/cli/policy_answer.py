"""How a command on policies ends: its answer on stdout, what goes wrong in one sentence on stderr. No typer here."""

from __future__ import annotations

import sys
from collections.abc import Callable

from auditctl.cli.context import Globals, look
from auditctl.cli.invocation import invocation, program
from auditctl.cli.output import write
from auditctl.errors import AuditctlError
from auditctl.operations.answer import CommandResult, visible
from auditctl.operations.controlplane import ControlPlane
from auditctl.report import Report, finding_line


def answered(options: Globals, command: str, operation: Callable[[ControlPlane], CommandResult]) -> int:
    """Print what the operation answers; the exit code. Nothing is raised."""
    try:
        answer = operation(options.plane())
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (told here, or by the funnel of all commands)
        return failed(options, command, error)
    answer = answer.pasteable(invocation(options))
    for note in () if options.quiet else answer.notes:
        write(sys.stderr, visible(note))
    if text := answer.text(options.output, quiet=options.quiet):
        write(sys.stdout, text)
    return answer.exit_code


def failed(options: Globals, command: str, error: BaseException) -> int:
    """Say what went wrong; the exit code."""
    if isinstance(error, AuditctlError) and options.output == "text":
        typed = invocation(options)
        for finding in error.findings:
            write(sys.stderr, visible(finding_line(finding.pasteable(typed))))
        place = f"{error.place}: " if error.place else ""
        fix = f" ({error.fix})" if error.fix else ""
        write(sys.stderr, visible(f"{program()} {command}: {place}{typed.pasteable(error.message + fix)}"))
        return error.exit_code

    def operation(plane: ControlPlane) -> Report:  # noqa: ARG001 (the shape of an operation)
        raise error

    return look(options, command, operation)[0]
