"""What goes to the terminal: the answer on stdout alone, progress on stderr. Losing the terminal changes nothing."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from auditctl.operations.controlplane import Progress
from auditctl.report import Report

if TYPE_CHECKING:
    from rich.live import Live

_COLOURS = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}  # the lines of a diff


def coloured(stream: TextIO) -> bool:
    """May escapes be written? NO_COLOR, a dumb terminal and anything that is not a terminal say no."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    with suppress(OSError, ValueError):
        return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()
    return False


def show(report: Report, output: str, *, quiet: bool) -> bool:
    """Print the report in the asked format; False where nobody reads it.

    Errors in text go to stderr: stdout is for answers.
    """
    if output == "json":
        return write(sys.stdout, report.to_json())
    if output == "yaml":
        return write(sys.stdout, report.to_yaml())
    stream = sys.stdout if report.exit_code in (0, 1) else sys.stderr
    return write(stream, report.to_text(colour=coloured(stream), quiet=quiet))


def write(stream: TextIO, text: str) -> bool:
    """Write a line; a reader that has gone (EPIPE, EIO) is not an error, but told: False."""
    try:
        stream.write(text + "\n")
        stream.flush()
    except RuntimeError:  # a signal's word in the middle of a write
        return False
    except (OSError, ValueError):
        with suppress(OSError, ValueError):  # so that the interpreter's own flush at exit has somewhere to go
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return False
    return True


def takes(stream: TextIO) -> bool:
    """Would it take a line at once? A held terminal (Ctrl-S) or a full pipe must not hold the run: a node may be down."""
    with suppress(OSError, ValueError):  # no descriptor: nothing to wait for
        asked = select.poll()
        asked.register(stream.fileno(), select.POLLOUT)
        return bool(asked.poll(0))
    return True


def _tell(text: str) -> None:
    """One line of progress, if somebody takes it."""
    if takes(sys.stderr):
        write(sys.stderr, f"[auditctl] {text}")


class PlainProgress:
    """Progress as plain lines on stderr: each step, and each new thing that is waited for, once."""

    def __init__(self) -> None:
        self._last = ""

    def step(self, text: str) -> None:
        _tell(text)

    def waiting(self, text: str, seconds: float) -> None:
        if text != self._last:
            self._last = text
            _tell(f"{seconds:5.1f} s  {text}")


class Terminal:
    """Progress on a terminal: steps as lines, and one live line that says what is waited for and for how long."""

    def __init__(self) -> None:
        self._live: Live | None = None

    def step(self, text: str) -> None:
        if takes(sys.stderr):
            self._stop()
            _tell(text)

    def waiting(self, text: str, seconds: float) -> None:
        from rich.text import Text

        line = Text.assemble((f"{seconds:5.1f} s  ", "cyan"), text, overflow="ellipsis", no_wrap=True)
        live = self._live or _line_of_its_own()
        with suppress(OSError, ValueError, RuntimeError):  # RuntimeError: as in `write`
            if takes(sys.stderr):  # asked last: imports take their time
                self._live = live
                live.start()
                live.update(line, refresh=True)

    def _stop(self) -> None:
        if self._live is not None:
            with suppress(OSError, ValueError, RuntimeError):
                self._live.stop()
            self._live = None

    def close(self) -> None:
        self._stop()


class PlanReviewer:
    """Shows a plan on stderr, and asks whoever sits at the terminal; without a terminal it goes on.

    ``quiet``: the plan is shown only where it is asked about.
    """

    def __init__(self, progress: Progress, *, quiet: bool) -> None:
        self._progress, self._quiet = progress, quiet

    def accepts(self, plan: Sequence[str], question: str) -> bool:
        """Return False if the answer to the question is anything but yes."""
        is_asked = bool(question) and _is_terminal(sys.stdin) and _is_terminal(sys.stderr)
        if isinstance(self._progress, Terminal):
            self._progress.close()
        if is_asked or not self._quiet:
            is_coloured = coloured(sys.stderr)
            for line in plan:
                if takes(sys.stderr):
                    write(
                        sys.stderr,
                        f"{_COLOURS[line[0]]}{line}\x1b[0m" if is_coloured and line[:1] in _COLOURS else line,
                    )
        if not is_asked:
            return True
        with suppress(OSError, ValueError):  # the terminal is gone: nobody said yes
            sys.stderr.write(f"{question} [y/N] ")
            sys.stderr.flush()
            return sys.stdin.readline().strip().lower() in ("y", "yes")
        return False


def _is_terminal(stream: TextIO | None) -> bool:
    with suppress(OSError, ValueError):
        return stream is not None and stream.isatty()
    return False


def _line_of_its_own() -> Live:
    """Refreshed by us alone: a thread of its own could die of a lost terminal out of our sight."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    return Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
