"""The global options as a record, and the one way from an operation to the exit code."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from auditctl.cli.command_line import program
from auditctl.cli.output import (
    Delivery,
    PlainProgress,
    PlanReviewer,
    Terminal,
    coloured,
    sign_of_life,
    write,
    write_pieces,
)
from auditctl.errors import NOTHING_CHANGED, AuditctlError, RefusedError, UsageError
from auditctl.hints import Invocation
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import MANIFEST, STATE, ControlPlane, Progress, Silence
from auditctl.printable import printable
from auditctl.report import ManifestChange, Outcome, Report, finding_line, from_error
from auditctl.system import require_linux

if TYPE_CHECKING:
    import typer

Operation = Callable[[ControlPlane], Report | CommandResult]

# a dry run of these refuses in the words of the run; all others change nothing anyway, and to say it makes people doubt
_CHANGING = ("enable", "disable", "restart", "rollback", "recover", "doctor", "kubeadm persist", "policy edit")
_NEED_NO_NODE = ("policy", "log", "flags", "completion", "help", "version")
_RUN_ANYWHERE = (*_NEED_NO_NODE, "status --server", "kubeadm render", "kubeadm check", "kubeadm preflight-upgrade")
_NEED_A_NODE = ("policy edit", "log shipper")  # what else begins so runs on every system
_INTERRUPTED = 130
FORMATS = ("text", "json", "yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Globals:
    """The options that stand before or after the command."""

    rootfs: Path = Path("/")
    manifest: str = MANIFEST
    state_dir: str = STATE
    kubeconfig: Path | None = None
    output: str = "text"
    quiet: bool = False
    verbose: bool = False

    def plane(self, progress: Progress | None = None) -> ControlPlane:
        """Return the node that these options name."""
        chosen = progress if progress is not None else self.progress()
        reviewer = PlanReviewer(chosen, invocation(self), quiet=self.quiet)
        return ControlPlane(
            rootfs=self.rootfs,
            manifest=self.manifest,
            state_dir=self.state_dir,
            kubeconfig=self.kubeconfig,
            progress=chosen,
            reviewer=reviewer,
        )

    def progress(self) -> Progress:
        """Return who is told of progress: nobody, a live line of a terminal, or plain lines."""
        if self.quiet:
            return Silence()
        return Terminal() if sys.stderr.isatty() and coloured(sys.stderr) and not self.verbose else PlainProgress()


def invocation(options: Globals) -> Invocation:
    """Return what a hint has to repeat: the program's name, and each global option that is not at its default."""
    given = (
        ("--rootfs", options.rootfs, Path("/")),
        ("--manifest", options.manifest, MANIFEST),
        ("--state-dir", options.state_dir, STATE),
        ("--kubeconfig", options.kubeconfig, None),
    )
    return Invocation(program(), tuple((name, str(value)) for name, value, usual in given if value != usual))


def run_and_exit(
    context: typer.Context,
    command: str,
    operation: Operation,
    *,
    changes: bool = False,
    formats: Sequence[str] = FORMATS,
    interactive: bool = False,
) -> NoReturn:
    """Run one operation, print its result, exit with its code. A traceback never reaches a user.

    ``changes``: the command may change the node. Its exit code tells the state of the node then, even where the answer
    cannot be written; a command that only reads ends with 1 there. ``formats`` are what ``--output`` may name.
    ``interactive``: an editor has the terminal, so that nothing of ours may be written meanwhile.
    """
    import typer

    options: Globals = context.obj
    if options.output not in formats:
        raise typer.BadParameter(f"{options.output!r} is not one of {', '.join(formats)}", param_hint="--output")
    code, delivery = run_once(options, command, operation, changes=changes, speaks=not (changes or interactive))
    raise typer.Exit(code or 1 if delivery is Delivery.FAILED and not changes else code)


def run_once(
    options: Globals,
    command: str,
    operation: Operation,
    *,
    changes: bool = False,
    speaks: bool = True,
    heading: Callable[[], str] | None = None,
) -> tuple[int, Delivery]:
    """Run one operation and print its result; return its exit code, and whether the result has arrived.

    ``speaks``: a long run says that it is at work; a command that changes the node says its steps anyway. ``heading`` is
    printed before the result of a run that is one of many; these say nothing of their progress.
    """
    plane = options.plane(Silence() if heading is not None else None)
    try:
        if command in _NEED_A_NODE or not command.startswith(_RUN_ANYWHERE):
            require_linux(command)
        with sign_of_life(command) if speaks and not options.quiet and heading is None else nullcontext():
            answer = operation(plane)
        typed = invocation(options)
        result = report_result(answer, options) if isinstance(answer, Report) else answer.pasteable(typed)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (whatever it is, it becomes a report)
        result = _failure(options, command, error, changes=changes)
    if isinstance(plane.progress, Terminal):
        plane.progress.close()
    if heading is not None and options.output == "text":
        write(sys.stdout, heading())
    return _print(options, command, result)


def report_result(report: Report, options: Globals) -> CommandResult:
    """Return the result of a command on the node; only answers (exit codes 0 and 1) go to stdout as text."""
    report = report.pasteable(invocation(options))
    is_error = report.exit_code not in (0, 1)
    text = _printable(report).to_text(colour=coloured(sys.stderr if is_error else sys.stdout), quiet=options.quiet)
    return CommandResult(
        document=report.to_dict(), summary=text, exit_code=report.exit_code, styled=True, is_error=is_error
    )


def _print(options: Globals, command: str, result: CommandResult) -> tuple[int, Delivery]:
    if not options.quiet:
        _write_notes(result.notes)
    if result.pieces is None:
        text = result.text(options.output, quiet=options.quiet)
        is_document = options.output in ("json", "yaml")  # an error is the answer there; in lines nobody could tell it
        stream = sys.stderr if result.is_error and not is_document else sys.stdout
        return result.exit_code, write(stream, text) if text else Delivery.WRITTEN
    try:
        sys.stdout.flush()
        delivery = write_pieces(result.pieces)
    except KeyboardInterrupt:
        if not result.endless:
            return _INTERRUPTED, Delivery.WRITTEN
        delivery = Delivery.WRITTEN
    except Exception as error:  # noqa: BLE001 (a file may turn out to be unreadable in its middle)
        options = dataclasses.replace(options, output="text")  # stdout holds a part of the answer already
        return _print(options, command, _failure(options, command, error, changes=False))
    if delivery is not Delivery.CLOSED and not options.quiet:
        _write_notes(tuple(result.closing_notes()))
    return result.exit_code or result.closing_code(), delivery


def _write_notes(notes: tuple[str, ...]) -> None:
    for note in notes:
        write(sys.stderr, printable(note))


def _failure(options: Globals, command: str, error: BaseException, *, changes: bool) -> CommandResult:
    """Return the result of a command that ended in an error: a report; one sentence where the node has no part in it."""
    if isinstance(error, RefusedError) and error.check == "manifest-missing":
        error = _why_missing(options, command, error)
    report = _error_report(options, command, error, changes=changes)
    result = report_result(report, options)
    is_sentence = isinstance(error, UsageError) or command.split(maxsplit=1)[0] in _NEED_NO_NODE
    if not isinstance(error, AuditctlError) or not is_sentence:
        return result
    place = f"{error.place}: " if error.place else ""
    fix = f" ({error.fix})" if error.fix else ""
    typed = invocation(options)
    findings = (finding_line(finding.pasteable(typed)) for finding in error.findings)
    lines = (*findings, f"{program()} {command}: {place}{typed.pasteable(error.message + fix)}")
    return dataclasses.replace(result, summary="\n".join(map(printable, lines)))


def _why_missing(options: Globals, command: str, error: RefusedError) -> RefusedError:
    """Return the refusal with what this machine probably is, and the next step of that command."""
    from auditctl.operations.doctor.manifest import why_missing

    cause = why_missing(options.plane(), error)
    if command.startswith("log ") and command not in _NEED_A_NODE:
        cause.fix = f"specify the log's file with --log; or {cause.fix}"
    return cause


def _error_report(options: Globals, command: str, error: BaseException, *, changes: bool) -> Report:
    path = str(options.plane().manifest_path)
    match error:
        case AuditctlError():
            report = from_error(command, path, error)
            return (
                report
                if command in _CHANGING or changes
                else replace(report, summary=str(error).removesuffix(NOTHING_CHANGED))
            )
        case KeyboardInterrupt():
            return Report(
                command=command,
                outcome=Outcome.INTERRUPTED,
                summary="interrupted; nothing was changed",
                manifest=ManifestChange(path=path),
            )
        case OSError() if not changes:  # of a command that changes the node every error of the file system is expected
            where, reason = error.filename or path, (error.strerror or str(error)).lower()
            fix = "run it as root (sudo)" if isinstance(error, PermissionError) else ""
            return from_error(command, path, RefusedError(f"{where}: {reason}", check="unreadable", fix=fix))
        case _:
            return _bug(command, path, error, verbose=options.verbose)


def _bug(command: str, path: str, error: BaseException, *, verbose: bool) -> Report:
    """Return its kind and place, not its words: a foreign text could quote a secret."""
    import traceback

    if verbose:
        write(sys.stderr, printable("".join(traceback.format_exception(error)), keep_newlines=True))
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = f"a bug of auditctl: {type(error).__name__} at {Path(last.filename).name}:{last.lineno}; see what state the node is in"
    steps = ("auditctl status", "report it with the output of the same command and -v")
    return Report(
        command=command,
        outcome=Outcome.REFUSED,
        summary=text,
        manifest=ManifestChange(path=path),
        code=70,
        next_steps=steps,
    )


def _printable(report: Report) -> Report:
    """Return the report with every foreign text in it made safe for a terminal; only our own colours come after."""

    def lines(text: str) -> str:
        return printable(text, keep_newlines=True)

    change = report.manifest
    findings = (
        replace(
            each,
            message=printable(each.message),
            fix=printable(each.fix),
            path=printable(each.path),
            file=printable(each.file),
        )
        for each in report.findings
    )
    checks = (each._replace(detail=printable(each.detail)) for each in report.verification.checks)
    patch = tuple({**operation, "path": printable(str(operation.get("path", "")))} for operation in change.patch)
    return replace(
        report,
        summary=printable(report.summary),
        findings=tuple(findings),
        verification=report.verification._replace(checks=tuple(checks)),
        next_steps=tuple(map(printable, report.next_steps)),
        lines=tuple(map(lines, report.lines)),
        manifest=replace(change, diff=lines(change.diff), patch=patch, reasons=tuple(map(printable, change.reasons))),
    )
