"""When a container starts again, as seen on a real kubelet 1.36.3: at once, then 10, 20, 40 s after its end."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from labroom import Node, eventually

from auditctl.lab import down, up
from auditctl.lab.node.layout import Timing
from auditctl.lab.node.pod_worker import Backoff, go_duration
from auditctl.node.apiserver.process import listener

REAL = Backoff(10, 300)
LONG = Timing(grace=0.6, listing=0.4, backoff=0.3, backoff_cap=60, replace=0.1, start=0.2)


def delays(lives: list[float]) -> list[float]:
    """What a container waits after each of its lives, in seconds, started again as soon as it may be."""
    backoff, now, found = Backoff(REAL.first, REAL.cap), 0.0, []
    for life in lives:
        ended = now + life
        found.append(backoff.delay("uid/c", ended))
        now = ended + found[-1]
        backoff.restarted("uid/c", ended, now)
    return found


def test_the_first_restart_is_at_once_and_the_next_ones_wait_ever_longer_up_to_five_minutes() -> None:
    assert delays([1] * 9) == [0, 10, 20, 40, 80, 160, 300, 300, 300]


def test_ten_quiet_minutes_forget_the_delay_and_nine_do_not() -> None:
    assert delays([1, 1, 1, 601, 1]) == [0, 10, 20, 0, 10]
    assert delays([1, 1, 1, 540, 1]) == [0, 10, 20, 40, 80]


def test_another_key_is_another_delay() -> None:
    backoff = Backoff(10, 300)
    backoff.restarted("one/c", 1, 1)
    assert (backoff.delay("one/c", 2), backoff.delay("two/c", 2)) == (10, 0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.3, "300ms"), (10, "10s"), (80, "1m20s"), (160, "2m40s"), (300, "5m0s")]
)
def test_durations_are_written_as_go_does(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


@pytest.fixture
def long_memory(tmp_path: Path) -> Iterator[Node]:
    """A lab whose back-off is not soon forgotten."""
    yield Node(up(tmp_path / "node", pace=LONG))
    down(tmp_path / "node")


def kill(node: Node) -> None:
    """SIGKILL the server, and wait until another one serves."""
    old = listener(node.lab.port)
    assert old is not None
    os.kill(old.pid, signal.SIGKILL)
    eventually(lambda: (new := listener(node.lab.port)) is not None and new.pid != old.pid and node.serves())


def replace(node: Node, text: str) -> None:
    old = listener(node.lab.port)
    assert old is not None
    node.write_manifest(text)
    eventually(lambda: (new := listener(node.lab.port)) is not None and new.pid != old.pid and node.serves())


def logs(node: Node) -> list[str]:
    return [Path(name).name for name in node.pod_logs()]


@pytest.mark.lab
def test_a_restored_pod_has_its_old_delay_and_new_logs_and_another_pod_has_neither(long_memory: Node) -> None:
    """One real node showed the same: 40 s after the fourth kill, and 0.log in a folder that had been removed."""
    node, before = long_memory, long_memory.manifest.read_text()
    kill(node)
    kill(node)
    assert logs(node) == ["1.log", "2.log"]  # of the dead, the newest alone

    replace(node, before.replace("tier: control-plane", "tier: control-plane\n    x: 'y'"))
    assert logs(node) == ["0.log"]
    kill(node)
    replace(node, before)
    assert logs(node) == ["0.log"]
    kill(node)

    said = re.findall(r"back-off (\w+) restarting failed container=kube-apiserver", node.kubelet_log())
    assert said == ["300ms", "600ms"]
