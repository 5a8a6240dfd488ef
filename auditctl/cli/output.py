"""Write answers to stdout and progress to stderr; losing the terminal changes nothing of what happens to the node."""

from __future__ import annotations

import errno
import os
import select
import signal
import stat
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from typing import TYPE_CHECKING, TextIO

from auditctl.cli.command_line import program
from auditctl.hints import Invocation
from auditctl.operations.controlplane import Progress
from auditctl.printable import printable
from auditctl.system import IS_LINUX

if TYPE_CHECKING:
    from rich.live import Live

_COLOURS = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}  # the lines of a diff
_SILENT_SECONDS = 1.9
_LAST_PROGRESS: dict[str, float] = {}


class Delivery(Enum):
    """Whether an answer has arrived. ``CLOSED``: its reader has gone, as `head` does; that is no error."""

    WRITTEN = "written"
    CLOSED = "closed"
    FAILED = "failed"


def coloured(stream: TextIO) -> bool:
    """Return whether escapes may be written: not with NO_COLOR, to a dumb terminal or to what is no terminal."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    with suppress(OSError, ValueError):
        return bool(os.environ.get("FORCE_COLOR")) or stream.isatty()
    return False


def write(stream: TextIO, text: str) -> Delivery:
    """Write a line and return whether it has arrived; what went wrong is said on stderr.

    A text that the locale cannot encode is written with escapes, and counts as failed: it is not the answer.
    """
    delivery = Delivery.WRITTEN
    line = text + "\n"
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        line.encode(encoding, getattr(stream, "errors", None) or "strict")
    except UnicodeEncodeError as error:
        line, delivery = line.encode(encoding, "backslashreplace").decode(encoding), Delivery.FAILED
        reason = f"{encoding} has no character {printable(ascii(error.object[error.start]))}"
        _say_failed(stream, f"{reason}, so escapes stand in its place (use a UTF-8 locale: LC_ALL=C.UTF-8)")
    try:
        stream.write(line)
        stream.flush()
    except RuntimeError:  # a signal handler writes while the interrupted code was writing: `reentrant call`
        return Delivery.CLOSED
    except (OSError, ValueError) as error:
        return not_written(stream, error)
    return delivery


def write_pieces(pieces: Iterator[bytes]) -> Delivery:
    """Write bytes as they come and return whether all have arrived; an empty piece asks whether a reader is left."""
    for piece in pieces:
        try:
            if not piece and _is_gone(sys.stdout):
                return Delivery.CLOSED
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        except (OSError, ValueError) as error:
            return not_written(sys.stdout, error)
    return Delivery.WRITTEN


def not_written(stream: TextIO, error: OSError | ValueError) -> Delivery:
    """Tell a reader that has gone from a disk that is full, and let the interpreter's own flush at exit succeed."""
    gone = _is_reader_gone(stream, error)
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    if gone:
        return Delivery.CLOSED
    _say_failed(stream, (getattr(error, "strerror", None) or str(error)).lower())
    return Delivery.FAILED


def _is_reader_gone(stream: TextIO, error: OSError | ValueError) -> bool:
    """Return whether the other end has closed: EPIPE of a pipe, EIO of a lost terminal (of a file it is a bad disk)."""
    if not isinstance(error, OSError):
        return True  # the stream was closed by us
    if error.errno == errno.EIO:
        with suppress(OSError, ValueError):
            return not stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    return error.errno in {errno.EPIPE, errno.EIO, errno.EBADF}


def _say_failed(stream: TextIO, reason: str) -> None:
    if stream is not sys.stderr:
        write(sys.stderr, f"{program()}: the answer cannot be written to standard output: {reason}")


def _is_gone(stream: TextIO) -> bool:
    """Return whether the reader of our pipe has ended while there was nothing to write; elsewhere than on Linux the next write tells."""
    if not IS_LINUX:
        return False
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def takes(stream: TextIO) -> bool:
    """Return whether a line would be taken at once: a held terminal (Ctrl-S) must not hold a run while a node is down."""
    if not IS_LINUX:
        return True  # no node to keep waiting
    with suppress(OSError, ValueError):  # no descriptor: nothing to wait for
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return bool(poll.poll(0))
    return True


@contextmanager
def sign_of_life(command: str) -> Iterator[None]:
    """Say once, after two seconds without any progress, that the command is at work; only a terminal is told.

    Programs that read stderr (tests, pipelines) get what the command itself has to say, however slow the machine is.
    A timer's signal, not a thread: commands fork, and a thread does not survive that. An interval timer does not either
    (setitimer(2)), so no child speaks for us. Python takes up again the calls that the signal interrupts (PEP 475).
    """
    if not IS_LINUX or threading.current_thread() is not threading.main_thread() or not _is_terminal(sys.stderr):
        yield
        return
    started = time.monotonic()

    def speak(number: int, frame: object) -> None:  # noqa: ARG001 (the shape of a signal handler)
        if _LAST_PROGRESS.get("at", 0.0) < started:
            _progress_line(f"{command}: working; Ctrl-C stops it")

    before = signal.signal(signal.SIGALRM, speak)
    signal.setitimer(signal.ITIMER_REAL, _SILENT_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _progress_line(text: str) -> None:
    """Write one line of progress, if it is taken at once."""
    _LAST_PROGRESS["at"] = time.monotonic()
    if takes(sys.stderr):
        write(sys.stderr, f"[auditctl] {printable(text)}")


class PlainProgress:
    """Progress as plain lines on stderr: each step, and each new thing that is waited for, once."""

    def __init__(self) -> None:
        self._last = ""

    def step(self, text: str) -> None:
        """Write the step as a line."""
        _progress_line(text)

    def waiting(self, text: str, seconds: float) -> None:
        """Write what is waited for, once for each text."""
        if text != self._last:
            self._last = text
            _progress_line(f"{seconds:5.1f} s  {text}")


class Terminal:
    """Progress on a terminal: steps as lines, and one live line that says what is waited for and for how long."""

    def __init__(self) -> None:
        self._live: Live | None = None

    def step(self, text: str) -> None:
        """Write the step as a line above the live one."""
        if takes(sys.stderr):
            self.close()
            _progress_line(text)

    def waiting(self, text: str, seconds: float) -> None:
        """Redraw the live line."""
        from rich.text import Text

        _LAST_PROGRESS["at"] = time.monotonic()
        line = Text.assemble((f"{seconds:5.1f} s  ", "cyan"), printable(text), overflow="ellipsis", no_wrap=True)
        live = self._live or _line_of_its_own()
        with suppress(OSError, ValueError, RuntimeError):  # RuntimeError: as in `write`
            if takes(sys.stderr):  # tested last: imports take their time
                self._live = live
                live.start()
                live.update(line, refresh=True)

    def close(self) -> None:
        """Take the live line away."""
        if self._live is not None:
            with suppress(OSError, ValueError, RuntimeError):
                self._live.stop()
            self._live = None


class PlanReviewer:
    """Shows a plan on stderr, and asks whoever sits at the terminal; without a terminal it goes on.

    ``typed`` is how a command in the plan has to be typed; ``quiet``: the plan is shown only where it is asked about.
    """

    def __init__(self, progress: Progress, typed: Invocation, *, quiet: bool) -> None:
        self._progress, self._typed, self._quiet = progress, typed, quiet

    def accepts(self, plan: Sequence[str], question: str) -> bool:
        """Return False if the answer to the question is anything but yes."""
        can_answer = bool(question) and _is_terminal(sys.stdin) and _is_terminal(sys.stderr)
        if isinstance(self._progress, Terminal):
            self._progress.close()
        if can_answer or not self._quiet:
            is_coloured = coloured(sys.stderr)
            for line in map(printable, self._typed.pasteable_lines(plan)):
                if takes(sys.stderr):
                    write(
                        sys.stderr,
                        f"{_COLOURS[line[0]]}{line}\x1b[0m" if is_coloured and line[:1] in _COLOURS else line,
                    )
        if not can_answer:
            return True
        with suppress(OSError, ValueError):  # the terminal is gone: nobody said yes
            sys.stderr.write(f"{printable(question)} [y/N] ")
            sys.stderr.flush()
            return sys.stdin.readline().strip().lower() in ("y", "yes")
        return False


def _is_terminal(stream: TextIO | None) -> bool:
    with suppress(OSError, ValueError):
        return stream is not None and stream.isatty()
    return False


def _line_of_its_own() -> Live:
    """Return a live line that only we refresh: a thread of its own could die of a lost terminal without our notice."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    return Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
