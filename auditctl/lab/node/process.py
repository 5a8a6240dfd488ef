"""Processes by pid and start time, so that a pid used again by a stranger is never taken for ours."""

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

POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class ChildProcess:
    """A process of this machine; ``start_time`` in clock ticks since boot (field 22 of /proc/PID/stat)."""

    pid: int
    start_time: int

    @property
    def alive(self) -> bool:
        return identify(self.pid) == self

    def kill(self, number: signal.Signals) -> None:
        """Send a signal, if the process is still the one we mean."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> ChildProcess | None:
        """None where nothing, or nothing readable, is recorded."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


def identify(pid: int) -> ChildProcess | None:
    """The process that has this pid now; None if there is none, or only its remains (state Z or X)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else ChildProcess(pid, int(fields[19]))


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition became true in that time; asked every 50 ms."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def end(process: ChildProcess | None, seconds: float) -> None:
    """SIGTERM, that many seconds, SIGKILL; returns when the process is gone."""
    if process is None:
        return
    process.kill(signal.SIGTERM)
    if not until(lambda: not process.alive, seconds):
        process.kill(signal.SIGKILL)
        until(lambda: not process.alive, 5)


def detach(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
    """Start a process in a session of its own, nobody's child, with no descriptor of ours and `/` as its directory.

    A shell goes between: it ends at once, so that init inherits (and buries) the process.
    """
    with log.open("ab") as output:
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            cwd="/",
            start_new_session=True,
            close_fds=True,
            check=True,
        )
