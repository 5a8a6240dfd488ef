"""A process that outlives its maker: detached from terminal, session, process group, and from the cgroup where systemd runs.

It is forked, not started anew: everything that it may need is in its memory already, so a file system that fills up, a
package that is replaced meanwhile, or a full process table cannot take anything from it.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_READY_SECONDS = 10.0
_GONE_SECONDS = 5.0
_SYSTEMD_SECONDS = 3.0
_NAME = "auditctl-watch"  # /proc/PID/comm holds 15 characters
_OOM_SCORE = "-900"  # after everything but the kubelet and its like, -997 to -999 (pkg/kubelet/qos/policy.go)


class Watchdog(NamedTuple):
    """One that stands guard. ``descriptor`` is its pidfd: a pid cannot be mistaken."""

    pid: int
    descriptor: int

    def dismiss(self) -> None:
        """It is not needed any more: end it, and wait until it is gone, so that it never holds the lock behind us."""
        with suppress(OSError):
            signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)
        gone = select.poll()
        gone.register(self.descriptor, select.POLLIN)
        gone.poll(_GONE_SECONDS * 1000)
        os.close(self.descriptor)


def set_out(duty: Callable[[], None], lock: Path, unit: str) -> Watchdog | None:
    """Fork a process that runs ``duty``; return when it stands detached. None: there is none (no memory, no process left).

    ``lock`` is the file whose lock this process holds: the child closes its inherited descriptor of it, for else the
    kernel would not release the lock when this process dies. ``unit`` names its scope where systemd runs.
    """
    reader, writer = os.pipe()
    try:
        child = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        return None
    if child == 0:
        _become(duty, lock, writer)
    os.close(writer)
    try:
        os.waitpid(child, 0)  # the middle one: it ends at once, so that nobody has to reap the other
        return _met(reader, unit)
    finally:
        os.close(reader)


def _met(reader: int, unit: str) -> Watchdog | None:
    """Wait for the word that it stands; hold it by pidfd, in a scope of its own."""
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


def _become(duty: Callable[[], None], lock: Path, writer: int) -> None:
    """In the child: detach, fork once more, say so, do the duty, and never return into the caller's code."""
    try:
        os.setsid()
        if os.fork() == 0:
            _detach(lock)
            os.write(writer, b"%d" % os.getpid())
            os.close(writer)
            duty()
    except BaseException:  # noqa: BLE001 (nobody reads it; the journal stays open, and the next run recovers)
        os._exit(70)
    os._exit(0)


def _detach(lock: Path) -> None:
    """No signal of a terminal, no descriptor of the caller's: one that waits for the end of a pipe must not wait for us."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the machine goes down: the journal stays open, `recover` finishes
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for standard in range(3):
        os.dup2(nowhere, standard)
    for descriptor in _inherited(lock):
        os.close(descriptor)
    for name, text in (("comm", _NAME), ("oom_score_adj", _OOM_SCORE)):
        with suppress(OSError):
            Path("/proc/self", name).write_text(text)


def _inherited(lock: Path) -> Iterator[int]:
    """Descriptors that the caller of auditctl left open (ours are all close-on-exec), and those of the lock."""
    held = lock.stat()
    for descriptor in sorted(int(link.name) for link in Path("/proc/self/fd").iterdir()):
        with suppress(OSError):
            status = os.fstat(descriptor)
            is_lock = (status.st_dev, status.st_ino) == (held.st_dev, held.st_ino)
            is_foreign = descriptor > 2 and not fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
            if is_lock or is_foreign:
                yield descriptor


def give_scope(pid: int, unit: str) -> bool:
    """Where systemd runs, move the process into a scope of its own: the end of a login session or of a unit spares it then.

    By systemd's own call (org.freedesktop.systemd1.Manager StartTransientUnit), as `systemd-run --scope` does it, but
    for a process that runs already.
    """
    if not has_systemd():
        return False
    import subprocess

    systemd = ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"]
    properties = ["2", "PIDs", "au", "1", str(pid), "CollectMode", "s", "inactive-or-failed"]
    command = ["busctl", "--system", "call", *systemd, "StartTransientUnit", "ssa(sv)a(sa(sv))", f"{unit}.scope"]
    with suppress(OSError, subprocess.SubprocessError):
        ran = subprocess.run(
            [*command, "fail", *properties, "0"], capture_output=True, timeout=_SYSTEMD_SECONDS, check=False
        )
        return ran.returncode == 0
    return False


def has_systemd() -> bool:
    """Is systemd this machine's init, as sd_booted(3) asks, and do we see it (not from inside a container)?"""
    with suppress(OSError):
        return Path("/run/systemd/system").is_dir() and Path("/proc/1/comm").read_text().strip() == "systemd"
    return False
