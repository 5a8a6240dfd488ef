"""Fork a process that outlives this one: no terminal, session, process group or cgroup in common.

It is forked, not started anew: everything that it may need is in its memory already, so a file system that fills up, a
package that is replaced meanwhile, or a full process table cannot take anything from it.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from auditctl.node.programs import program

_TICK_SECONDS = 1.0
_READY_SECONDS = 10.0
_GONE_SECONDS = 5.0
_SYSTEMD_SECONDS = 3.0
_NAME = "auditctl-watch"  # /proc/PID/comm holds 15 characters
_OOM_SCORE = "-900"  # after everything but the kubelet and its like, -997 to -999 (pkg/kubelet/qos/policy.go)


class Watchdog(NamedTuple):
    """A watchdog that runs. ``descriptor`` is its pidfd, which never comes to mean another process."""

    pid: int
    descriptor: int

    def dismiss(self) -> None:
        """End it, and wait until it is gone, so that it does not hold the lock after us."""
        with suppress(OSError):
            signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)
        _has_ended(self.descriptor, _GONE_SECONDS)
        os.close(self.descriptor)


class StepLimit(NamedTuple):
    """How long a run may stay at one step before it is taken for hanging."""

    step: str
    seconds: float


def set_out(duty: Callable[[int], None], locks: Collection[int], unit: str) -> Watchdog | None:
    """Fork a process that runs ``duty``; return once it is detached; None if it cannot be forked.

    ``duty`` is given a pidfd of this process. ``locks`` are descriptors of the locks that this process holds: the child
    closes its copies, for else the kernel would not release the locks when this process dies. ``unit`` names its scope
    where systemd runs.
    """
    opened: list[int] = []
    try:
        run = os.pidfd_open(os.getpid())
        opened.append(run)
        reader, writer = os.pipe()
        opened += (reader, writer)
        child = os.fork()
    except OSError:
        for descriptor in opened:
            os.close(descriptor)
        return None
    if child == 0:
        _become(lambda: duty(run), locks, writer)
    os.close(writer)
    os.close(run)
    try:
        os.waitpid(child, 0)  # the middle one: it ends at once, so that nobody has to reap the other
        return _met(reader, unit)
    finally:
        os.close(reader)


class RunEnd(Enum):
    """How the run came to its end."""

    BY_ITSELF = "by itself"
    KILLED = "killed"
    BLOCKED = "blocked"  # killed, and held by the kernel: it will never run its own code again, and keeps its locks


def wait_for_end(run: int, limit: Callable[[], StepLimit], monotonic: Callable[[], float]) -> RunEnd:
    """Wait until the run ends, or kill it with SIGKILL when it stays too long at one step.

    A stopped, frozen or traced process dies of SIGKILL as well; one that is blocked in the kernel never returns to its
    own code. Time is counted by our own ticks, each at most twice its length: while the whole machine was paused or
    asleep, neither of us could work, and the run is not to blame.
    """
    step, waited = "", 0.0
    while True:
        before = monotonic()
        if _has_ended(run, _TICK_SECONDS):
            return RunEnd.BY_ITSELF
        waited += min(monotonic() - before, 2 * _TICK_SECONDS)
        allowed = limit()
        if allowed.step != step:
            step, waited = allowed.step, 0.0
        if waited > allowed.seconds:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(run, signal.SIGKILL)
            return RunEnd.KILLED if _has_ended(run, _GONE_SECONDS) else RunEnd.BLOCKED


def _has_ended(run: int, seconds: float) -> bool:
    gone = select.poll()
    gone.register(run, select.POLLIN)
    return bool(gone.poll(seconds * 1000))


def _met(reader: int, unit: str) -> Watchdog | None:
    """Return the watchdog once it says that it is detached; move it into a scope of its own."""
    ready = select.poll()
    ready.register(reader, select.POLLIN)
    word = os.read(reader, 32) if ready.poll(_READY_SECONDS * 1000) else b""
    if not word:
        return None
    try:
        watchdog = Watchdog(int(word), os.pidfd_open(int(word)))
    except OSError:
        return None
    give_scope(watchdog.pid, unit)
    return watchdog


def _become(duty: Callable[[], None], locks: Collection[int], writer: int) -> None:
    """Detach in the child, fork once more, report, do the duty, and never return into the caller's code."""
    try:
        os.setsid()
        if os.fork() == 0:
            _detach(locks)
            os.write(writer, b"%d" % os.getpid())
            os.close(writer)
            duty()
    except BaseException:  # noqa: BLE001 (nobody reads it; the journal stays open, and the next run recovers)
        os._exit(70)
    os._exit(0)


def _detach(locks: Collection[int]) -> None:
    """Ignore the terminal's signals and close the caller's descriptors: nobody shall wait for our end."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the machine goes down: the journal stays open, `recover` finishes
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for standard in range(3):
        os.dup2(nowhere, standard)
    for descriptor in (*locks, *_inherited()):
        with suppress(OSError):
            os.close(descriptor)
    for name, text in (("comm", _NAME), ("oom_score_adj", _OOM_SCORE)):
        with suppress(OSError):
            Path("/proc/self", name).write_text(text)


def _inherited() -> Iterator[int]:
    """Yield the descriptors that the caller of auditctl left open; ours are all close-on-exec."""
    for descriptor in sorted(int(link.name) for link in Path("/proc/self/fd").iterdir()):
        with suppress(OSError):
            if descriptor > 2 and not fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC:
                yield descriptor


def give_scope(pid: int, unit: str) -> bool:
    """Move the process into a systemd scope of its own; return whether that was done.

    By systemd's own call (org.freedesktop.systemd1.Manager StartTransientUnit), as `systemd-run --scope` does it, but
    for a process that runs already.
    """
    if not has_systemd():
        return False
    import subprocess

    busctl = program("busctl")
    if busctl is None:
        return False
    systemd = ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"]
    properties = ["2", "PIDs", "au", "1", str(pid), "CollectMode", "s", "inactive-or-failed"]
    command = [busctl, "--system", "call", *systemd, "StartTransientUnit", "ssa(sv)a(sa(sv))", f"{unit}.scope"]
    with suppress(OSError, subprocess.SubprocessError):
        ran = subprocess.run(
            [*command, "fail", *properties, "0"], capture_output=True, timeout=_SYSTEMD_SECONDS, check=False
        )
        return ran.returncode == 0
    return False


def has_systemd() -> bool:
    """Tell whether systemd is this machine's init (sd_booted(3)), and we are not inside a container."""
    with suppress(OSError):
        return Path("/run/systemd/system").is_dir() and Path("/proc/1/comm").read_text().strip() == "systemd"
    return False
