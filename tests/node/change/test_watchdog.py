"""The watchdog's own machinery: it waits for the run, ends one that hangs, and is no loss where it cannot be forked."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator

import pytest

from auditctl.node.change import watchdog
from auditctl.node.change.watchdog import RunEnd, StepLimit, wait_for_end


@pytest.fixture
def run() -> Iterator[tuple[int, int]]:
    """A process that waits for a signal, and its pidfd."""
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    descriptor = os.pidfd_open(pid)
    yield pid, descriptor
    os.close(descriptor)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_stopped_run_is_killed_when_its_step_takes_too_long(run: tuple[int, int]) -> None:
    """SIGCONT would be of no use: whatever stopped it may stop it again."""
    pid, descriptor = run
    os.kill(pid, signal.SIGSTOP)

    assert wait_for_end(descriptor, lambda: StepLimit("waiting", 0.0), time.monotonic) is RunEnd.KILLED

    assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT).si_status == signal.SIGKILL


def test_a_run_that_ends_is_noticed(run: tuple[int, int]) -> None:
    """However it ends."""
    pid, descriptor = run
    os.kill(pid, signal.SIGTERM)

    assert wait_for_end(descriptor, lambda: StepLimit("waiting", 3600), time.monotonic) is RunEnd.BY_ITSELF


def test_each_step_has_its_own_time_and_a_pause_of_the_machine_counts_for_nothing(
    run: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that jumps by an hour at each look adds two ticks; a step that begins starts at zero."""
    monkeypatch.setattr(watchdog, "_TICK_SECONDS", 0.001)
    looks = iter(range(0, 10**9, 3600))
    steps = iter([*["installing"] * 3, *["waiting"] * 3, *["undoing"] * 10])

    def limit() -> StepLimit:
        return StepLimit(next(steps), 0.005)

    end = wait_for_end(run[1], limit, lambda: float(next(looks)))

    assert end is RunEnd.KILLED
    assert len(list(steps)) == 6  # three ticks of undoing: 0.000, 0.002, 0.004; the fourth is beyond


@pytest.mark.parametrize("room", range(3))  # a pidfd, and the two ends of a pipe
def test_without_descriptors_there_is_no_watchdog_and_no_error(room: int) -> None:
    """A run under a small `ulimit -n` goes on without one; nothing is left open."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(without_descriptors(room))
        finally:
            os._exit(3)  # a child must not return into pytest
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def without_descriptors(room: int) -> int:
    """0 where there is no watchdog, and nothing is left open."""
    before = sorted(os.listdir("/proc/self/fd"))
    fillers = [os.dup(0)]
    while fillers[-1] < max(map(int, before)):  # no gap below the limit, whatever this worker has open
        fillers.append(os.dup(0))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (fillers[-1] + 1 + room, hard))
    started = watchdog.set_out(lambda run: None, (), "unit")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for number in fillers:
        os.close(number)
    if started is not None:
        return 1
    return 0 if sorted(os.listdir("/proc/self/fd")) == before else 2
