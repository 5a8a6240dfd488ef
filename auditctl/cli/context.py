"""The global options as a value, and the one funnel through which every command runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from auditctl.cli.output import PlainProgress, PlanReviewer, Terminal, coloured, show, write
from auditctl.errors import AuditctlError, RefusedError
from auditctl.operations.controlplane import MANIFEST, STATE, ControlPlane, Progress, Silence
from auditctl.report import ManifestChange, Outcome, Report, from_error

if TYPE_CHECKING:
    import typer

# commands that change nothing of the node: an error of the file system is not a bug of ours there
_READERS = (
    "status",
    "history",
    "verify",
    "lab up",
    "lab down",
    "lab status",
    "lab demo",
    "lab receiver",
    "lab check",
    "lab list",
    "lab hint",
    "cis",
)


class Globals(NamedTuple):
    """What was said before (or after) the command."""

    rootfs: Path = Path("/")
    manifest: str = MANIFEST
    state_dir: str = STATE
    kubeconfig: Path | None = None
    output: str = "text"
    quiet: bool = False
    verbose: bool = False

    def plane(self) -> ControlPlane:
        """The node that these options name."""
        progress = self.progress()
        reviewer = PlanReviewer(progress, quiet=self.quiet)
        return ControlPlane(
            self.rootfs, self.manifest, self.state_dir, self.kubeconfig, progress=progress, reviewer=reviewer
        )

    def progress(self) -> Progress:
        if self.quiet:
            return Silence()
        return Terminal() if sys.stderr.isatty() and coloured(sys.stderr) and not self.verbose else PlainProgress()


def finish(context: typer.Context, command: str, operation: Callable[[ControlPlane], Report]) -> None:
    """Run one operation on the node, print its report, exit with its code. A traceback never reaches a user."""
    import typer  # a plain line is read without it

    code, _ = look(context.obj, command, operation)
    raise typer.Exit(code)


def look(options: Globals, command: str, operation: Callable[[ControlPlane], Report]) -> tuple[int, bool]:
    """Run one operation and print its report; its exit code, and whether anybody reads it."""
    plane = options.plane()
    report = _report(command, plane, operation, verbose=options.verbose)
    if isinstance(plane.progress, Terminal):
        plane.progress.close()
    return report.exit_code, show(report, options.output, quiet=options.quiet)


def _report(command: str, plane: ControlPlane, operation: Callable[[ControlPlane], Report], *, verbose: bool) -> Report:
    path = str(plane.manifest_path)
    try:
        return operation(plane)
    except AuditctlError as error:
        return from_error(command, path, error)
    except KeyboardInterrupt:
        return Report(command, Outcome.INTERRUPTED, "interrupted; nothing was changed", ManifestChange(path))
    except OSError as error:
        if command not in _READERS:
            return _bug(command, path, error, verbose=verbose)
        where, reason = error.filename or path, (error.strerror or str(error)).lower()
        fix = "run it as root (sudo)" if isinstance(error, PermissionError) else ""
        return from_error(command, path, RefusedError(f"{where}: {reason}", check="unreadable", fix=fix))
    except Exception as error:  # noqa: BLE001 (a bug of ours: one sentence for the user, the rest with -v)
        return _bug(command, path, error, verbose=verbose)


def _bug(command: str, path: str, error: Exception, *, verbose: bool) -> Report:
    """Its kind and place, not its words: a foreign text could quote a secret."""
    import traceback

    if verbose:
        write(sys.stderr, traceback.format_exc())
    last = traceback.extract_tb(error.__traceback__)[-1]
    text = f"a bug of auditctl: {type(error).__name__} at {Path(last.filename).name}:{last.lineno}; see what state the node is in"
    steps = ("auditctl status", "report it with the output of the same command and -v")
    return Report(command, Outcome.REFUSED, text, ManifestChange(path), code=70, next_steps=steps)
