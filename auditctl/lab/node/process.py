"""Processes by pid and start time, so that a pid used again by a stranger is never taken for ours.

A record of a process is only a claim: before a signal is sent, the process itself has to be one of the practice node.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.node.change.files import make_directories

POLL_SECONDS = 0.05
_SHELL = "/bin/sh"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class ChildProcess:
    """A process of this machine; ``start_time`` in clock ticks since boot (field 22 of /proc/PID/stat)."""

    pid: int
    start_time: int

    @property
    def alive(self) -> bool:
        return identify(self.pid) == self

    def runs(self, program: Path) -> bool:
        """Tell whether this process is alive, is ours, has our root directory, and interprets ``program``."""
        return self.alive and _is_ours(self.pid) and _arguments(self.pid)[1:2] == [os.fsencode(program)]

    def save(self, path: Path) -> None:
        """Record the process in a file that only we may write."""
        make_directories(path.parent, 0o755)
        with open(os.open(path, _NEW_FILE, 0o644), "w", encoding="utf-8") as file:  # noqa: PTH123 - the mode
            file.write(json.dumps(asdict(self)) + "\n")

    @classmethod
    def load(cls, path: Path) -> ChildProcess | None:
        """Return the process; None where nothing, or nothing readable, is recorded."""
        try:
            process = cls(**json.loads(path.read_text(encoding="utf-8")))
            return process if type(process.pid) is type(process.start_time) is int and process.pid > 0 else None
        except (OSError, ValueError, TypeError):
            return None


def identify(pid: int) -> ChildProcess | None:
    """Return the process that has this pid now; None if there is none, or only its remains (state Z or X)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else ChildProcess(pid, int(fields[19]))


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Tell whether the condition became true in that time; it is evaluated every 50 ms."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def end(process: ChildProcess | None, program: Path, seconds: float) -> None:
    """End a process that interprets ``program``: SIGTERM, that many seconds, SIGKILL; return when it is gone.

    The pidfd is opened before the process is looked at: the signal goes to the very process that was looked at, even
    where the pid is given to another one in between. Any other process is left alone.
    """
    if process is None:
        return
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        if process.runs(program):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGTERM)
                if not until(lambda: not process.alive, seconds):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                    until(lambda: not process.alive, 5)
    finally:
        os.close(descriptor)


def _is_ours(pid: int) -> bool:
    """Tell whether all four user ids of a process are ours, and its root directory is, too."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
        ids = next(line.split()[1:] for line in lines if line.startswith("Uid:"))
        return ids == [str(os.geteuid())] * 4 and Path(f"/proc/{pid}/root").samefile("/")
    except (OSError, StopIteration):
        return False


def _arguments(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return []


def detach(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
    """Start a process in a session of its own, nobody's child, with no descriptor of ours and `/` as its directory.

    A shell goes between: it ends at once, so that init inherits (and buries) the process.

    Raises:
        RefusedError: this system has no shell.
    """
    if not os.access(_SHELL, os.X_OK):
        raise RefusedError(f"{_SHELL}: no such file, and a practice node is started by it", check="lab-not-serving")
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
    with open(os.open(log, flags, 0o644), "ab") as output:  # noqa: PTH123 - the mode
        subprocess.run(
            [_SHELL, "-c", '"$@" &', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            cwd="/",
            start_new_session=True,
            close_fds=True,
            check=True,
        )
