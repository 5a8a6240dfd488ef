"""On a node that serves: killed at any system call, the watchdog or the next run ends it; a kubelet that never acts; a
server that never gets ready. The node serves afterwards, always.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import straced
from faultnode import EVERYTHING, FIRST, TALLY, FaultNode, Ran, sample
from foldernode import OTHER_POLICY, POLICY

from auditctl.lab import down, status, up
from auditctl.lab.node.injected_faults import Faults, clear
from auditctl.lab.node.layout import Layout, Timing

pytestmark = [pytest.mark.lab, pytest.mark.timeout(3000)]
QUICK = Timing(grace=0.3, listing=0.4, backoff=0.3, backoff_cap=1.0, replace=1.0, start=0.1)
ON = ("enable", "--policy", "{root}/p.yaml", "--timeout", "20s")
OTHER = ("enable", "--policy", "{root}/q.yaml", "--log-maxage", "7", "--timeout", "20s")
OUT = ("disable", "--purge", "--timeout", "20s")
BACK = ("rollback", "--timeout", "20s")
WAYS = {"enable": ((), ON), "enable-another": ((ON,), OTHER), "disable": ((ON,), OUT), "rollback": ((ON, OTHER), BACK)}
ENDING = b"auditctl/ending"
KILLED = -signal.SIGKILL
DEADLINE_SECONDS = 60.0


class Live(FaultNode):
    """A lab node; `run` starts a process of its own."""

    def run(self, *words: str, inside: Callable[[], object] | None = None) -> Ran:
        code, said = straced.plain(self.root, words)
        return Ran(code, said)

    def serves(self) -> bool:
        lab = status(self.root)
        return lab is not None and lab.serving


@pytest.fixture
def live(ground: Path) -> Iterator[Live]:
    """A fresh lab."""
    up(ground / "node", pace=QUICK)
    node = Live(ground / "node")
    (node.root / "p.yaml").write_text(POLICY)
    (node.root / "q.yaml").write_text(OTHER_POLICY)
    yield node
    down(ground / "node")


def until(holds: Callable[[], bool]) -> bool:
    """Wait for it."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return False


def settled(live: Live) -> Ran:
    """`recover`, as soon as the watchdog has ended what it took over."""
    ran = live.run("recover", "-q")
    while "the watchdog (pid" in ran.said:
        assert until(lambda: not live.plane().state.is_locked())
        ran = live.run("recover", "-q")
    return ran


@pytest.mark.skipif(straced.STRACE is None, reason=straced.NO_STRACE)
@pytest.mark.parametrize("way", WAYS if EVERYTHING else ["enable"])
def test_killed_at_any_system_call_the_node_serves_again_by_itself(way: str, live: Live, ground: Path) -> None:
    """The run alone is killed: its watchdog, or where there is none yet the next run, ends the change."""
    before, command = WAYS[way]
    for step in before:
        assert live.run(*step).code == 0
    old = live.tree()
    assert straced.run(live.root, ground / "trace", command, follow=False)[0] == 0
    calls = [call for call in straced.changing_calls(ground / "trace", live.root) if not call.name.startswith("open")]
    new = live.tree()
    for number in sample(len(calls), about=2, salt=9):
        back_to(live, before)
        call = calls[number - 1]
        code, said = straced.run(
            live.root, ground / "killed", command, f"{call.name}:signal=SIGKILL:when={call.nth}", follow=False
        )
        assert code in (0, KILLED), (call, said)  # a wait may take fewer turns this time
        TALLY["kills by strace at a system call (live)"] += code == KILLED
        assert live.seen_by_the_kubelet() == ["kube-apiserver.yaml"]
        assert not live.names_an_absent_file(), call
        recovered = settled(live)
        assert recovered.code == 0, (call, recovered)
        assert not live.open_changes(), call
        assert not live.strays(), call
        assert live.manifest.read_bytes() in [
            tree["etc/kubernetes/manifests/kube-apiserver.yaml"][1] for tree in (old, new)
        ]
        assert until(live.serves), call
        seen = live.run("status", "-o", "json")
        assert '"matchesManifest": true' in seen.said, (call, seen)


def back_to(live: Live, steps: tuple[tuple[str, ...], ...]) -> None:
    """The node as it was before: everything out, then these steps again."""
    out = live.run(*OUT)
    assert out.code == 0, out
    for step in steps:
        ran = live.run(*step)
        assert ran.code == 0, ran


def test_a_kubelet_that_never_acts(live: Live) -> None:
    """The old server was never stopped: exit 4, the old manifest is back, and it served all the time."""
    before = live.manifest.read_bytes()
    Faults(kubelet_idle=True).save(Layout(live.root))

    failed = live.run("enable", "--policy", "{root}/p.yaml", "--timeout", "1s")

    TALLY["live faults"] += 1
    assert failed.code == 4, failed
    assert "the API server is ready with the old configuration again" in failed.said
    assert live.manifest.read_bytes() == before
    assert not live.policy.exists()
    assert live.serves()
    clear(Layout(live.root))
    assert live.run(*ON).code == 0


def test_a_server_that_never_gets_ready(live: Live) -> None:
    """It listens and lives: exit 4 at the deadline; the API server is ready with the old configuration."""
    before = live.manifest.read_bytes()
    Faults(only_with="--audit-", never_ready=True).save(Layout(live.root))

    failed = live.run("enable", "--policy", "{root}/p.yaml", "--timeout", "3s")

    TALLY["live faults"] += 1
    assert failed.code == 4, failed
    assert live.manifest.read_bytes() == before
    assert live.serves()
    assert not live.policy.exists()


@pytest.mark.skipif(straced.STRACE is None, reason=straced.NO_STRACE)
@pytest.mark.parametrize("good", [True, False], ids=["a-healthy-change", "a-failing-change"])
def test_the_watchdog_is_killed_too(good: bool, live: Live, ground: Path) -> None:
    """At each of its own changing calls: nobody is left, and the next run finds out and ends it."""
    old = live.manifest.read_bytes()
    words = ("enable", "--policy", "{root}/p.yaml", "--timeout", "4s")
    if not good:
        Faults(only_with="--audit-", never_ready=True).save(Layout(live.root))
    for name, nth in [("write", 1), ("fsync", 1), ("rename", 1), ("unlink", 1), ("fsync", 3)][: 5 if EVERYTHING else 1]:
        process = subprocess.Popen(
            straced.program(live.root, words), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        assert process.stderr is not None
        watchdog = next(int(line.split()[2]) for line in process.stderr if " takes over" in line)
        tracer = straced.attach(watchdog, ground / "watchdog", f"{name}:signal=SIGKILL:when={nth}")
        assert until(lambda: live.manifest.read_bytes() != old)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        tracer.wait(DEADLINE_SECONDS)
        TALLY["kills of the watchdog by strace"] += 1
        assert live.seen_by_the_kubelet() == ["kube-apiserver.yaml"]
        assert not live.names_an_absent_file()
        clear(Layout(live.root))
        recovered = live.run("recover")
        assert recovered.code == 0, recovered
        assert not live.open_changes()
        assert not live.strays()
        assert until(live.serves)
        assert live.run(*OUT).code == 0
        assert live.manifest.read_bytes() == old
        if not good:
            Faults(only_with="--audit-", never_ready=True).save(Layout(live.root))


def test_two_runs_at_once_on_a_live_node(live: Live) -> None:
    """One is proved, the other says who holds the lock; a second try of the same does its work."""
    runs = [
        subprocess.Popen(
            straced.program(live.root, ("enable", "--policy", "{root}/p.yaml", "--log-maxage", str(days))),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for days in (11, 12)
    ]
    said = [process.communicate(timeout=60)[1] for process in runs]
    codes = [process.returncode for process in runs]
    TALLY["runs at once"] += 2

    assert sorted(codes) in ([0, 3], [0, 0]), said
    for code, text in zip(codes, said, strict=True):
        assert ("is changing this node now" in text) == (code == 3), said
    assert live.run(*FIRST).code == 0


def test_a_change_takes_two_renames_and_no_pod_starts_in_between(live: Live) -> None:
    """The kubelet ran one new Pod: the text of the first rename only ended the old one."""
    assert live.run(*ON).code == 0

    (journal,) = live.plane().state.journals()
    steps = [step for step, _, _ in journal.steps]
    assert steps == ["backed-up", "installing", "ending", "replacing", "waiting", "done"]
    kubelet = (live.root / "var/log/kubelet.log").read_text()
    assert kubelet.count("Started container") == 2, kubelet
    assert ENDING not in live.manifest.read_bytes()


@pytest.mark.parametrize("killed", ["the-run", "the-run-and-its-watchdog"])
def test_killed_between_the_two_renames(killed: str, live: Live) -> None:
    """The watchdog goes on with the change; where it is dead too, the next run brings the old configuration back."""
    old = live.manifest.read_bytes()
    Faults(kubelet_idle=True).save(Layout(live.root))
    process = subprocess.Popen(
        straced.program(live.root, ON), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr is not None
    watchdog = next(int(line.split()[2]) for line in process.stderr if " takes over" in line)
    assert until(lambda: ENDING in live.manifest.read_bytes())
    os.kill(process.pid, signal.SIGKILL)
    if killed == "the-run-and-its-watchdog":
        os.kill(watchdog, signal.SIGKILL)
    process.communicate()
    TALLY["kills between the two renames"] += 1
    clear(Layout(live.root))

    if killed == "the-run":
        assert until(lambda: bool(live.plane().state.journals()) and not live.open_changes())
        assert live.plane().state.journals()[-1].step.value == "done"
        assert live.policy.exists()
        return
    assert until(live.serves)  # the old settings, with the annotation more
    recovered = live.run("recover")
    assert recovered.code == 0, recovered
    assert "ready with the old configuration" in recovered.said
    assert live.manifest.read_bytes() == old
    assert not live.policy.exists()
    assert until(live.serves)


@pytest.mark.parametrize("killed", ["nobody", "the-run", "the-run-and-its-watchdog"])
def test_an_undo_takes_two_renames_too(killed: str, live: Live) -> None:
    """The first one ends the Pod that failed; whoever goes on from there, the old manifest comes back byte for byte."""
    old = live.manifest.read_bytes()
    Faults(only_with="--audit-", never_ready=True).save(Layout(live.root))
    words = ("enable", "--policy", "{root}/p.yaml", "--timeout", "2s", "--drain", "1s")
    process = subprocess.Popen(
        straced.program(live.root, words), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr is not None
    watchdog = next(int(line.split()[2]) for line in process.stderr if " takes over" in line)
    assert until(lambda: b"Z-2\n" in live.manifest.read_bytes())
    assert live.plane().state.journals()[-1].step.value == "undoing"
    for pid in {"nobody": (), "the-run": (process.pid,)}.get(killed, (process.pid, watchdog)):
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    TALLY["kills between the two renames"] += killed != "nobody"

    if killed == "the-run-and-its-watchdog":
        clear(Layout(live.root))
        assert live.run("recover").code == 0
    assert until(lambda: not live.open_changes())
    assert live.plane().state.journals()[-1].step.value == "undone"
    assert live.manifest.read_bytes() == old
    assert not live.policy.exists()
    assert until(live.serves)
