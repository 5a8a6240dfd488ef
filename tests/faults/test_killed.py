"""Law 9: killed at any call that changes something, the node is on the old or the new configuration, and the next run
says which and finishes. In every command, and in the recovery itself.
"""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path

import pytest
import straced
from calls import Counted, Fault, die, die_torn, lay
from faultnode import (
    RECOVER,
    TALLY,
    FaultNode,
    Journey,
    assert_old_or_new,
    assert_settled,
    calls_of,
    sample,
    travelled,
)

KILLED = -signal.SIGKILL
LAST = 3
MANIFEST, POLICY = "/manifests/kube-apiserver.yaml", "/audit/policy.yaml"


def kill(node: FaultNode, nth: int, how: Fault, words: tuple[str, ...]) -> None:
    """Run the command, killed at its n-th changing call."""
    ran = node.run(*words, inside=lambda: lay(Counted(nth, how)))
    assert ran.code == KILLED, (nth, ran)
    TALLY["kills from inside"] += 1


@pytest.mark.parametrize("how", [die, die_torn], ids=["on-the-way-in", "in-the-middle"])
def test_killed_at_any_call_the_next_run_finishes_or_undoes(journey: Journey, how: Fault, ground: Path) -> None:
    """`recover`, after a kill at each call in turn; a second `recover` finds nothing."""
    old, new, command = journey
    for nth in sample(len(calls_of(old, command)), about=6, salt=len(command) + len(how.__name__)):
        node = old.copy(ground / str(nth))
        kill(node, nth, how, command)
        assert_old_or_new(node, old, new)
        recovered = node.run(*RECOVER)
        assert recovered.code == 0, (nth, recovered)
        assert_settled(node, old, new)
        assert "no change was interrupted" in node.run(*RECOVER).said
        node.gone()


def test_killed_at_any_call_the_same_command_does_its_work(journey: Journey, ground: Path) -> None:
    """The recovery comes first, and is told; a rollback that the recovery has finished finds nothing left to undo."""
    old, new, command = journey
    if command[0] == "rollback":
        command = (*command, newest(old))
    for nth in sample(len(calls_of(old, command)), about=5, salt=3):
        node = old.copy(ground / str(nth))
        kill(node, nth, die, command)
        opened = node.open_changes()
        again = node.run(*command)
        assert again.code == 0 or (command[0] == "rollback" and "is left to undo" in again.said), (nth, again)
        assert ("had been interrupted" in again.said) == bool(opened), (nth, again)
        assert_settled(node, new)
        node.gone()


def newest(node: FaultNode) -> str:
    return node.plane().state.journals()[-1].id


# Where the first run dies (on the way into this call, the last one of that kind): what is left for `recover` to do.
LEFT_OVER = {
    "files-are-being-installed": ("enable-other-policy-and-flag", "rename", POLICY),
    "files-are-installed": ("enable-first", "fsync", "/etc/kubernetes/audit"),
    "the-manifest-is-about-to-be-replaced": ("enable-other-policy-and-flag", "rename", MANIFEST),
    "the-manifest-is-replaced": ("enable-other-policy-and-flag", "fsync", "/etc/kubernetes/manifests"),
    "the-first-manifest-is-replaced": ("enable-first", "fsync", "/etc/kubernetes/manifests"),
    "auditing-is-out-and-not-yet-proved": ("disable", "fsync", "/etc/kubernetes/manifests"),
    "a-purge-has-one-file-to-go": ("disable-purge", "unlink", "/audit/webhook.yaml"),
    "a-rollback-has-the-policy-to-go": ("rollback-to-nothing", "unlink", POLICY),
}


@pytest.fixture(scope="session", params=LEFT_OVER)
def interrupted(request: pytest.FixtureRequest, lasting_ground: Path) -> tuple[FaultNode, FaultNode, FaultNode]:
    """A node whose change was interrupted there, and the two that it may come to."""
    name, call, path = LEFT_OVER[request.param]
    old, new, command = travelled(name, lasting_ground)
    calls = calls_of(old, command)
    nth = max(number for number, line in enumerate(calls, 1) if line.startswith(f"{call} ") and line.endswith(path))
    # a worker that took the test over may set the same parameter up twice
    node = old.copy(Path(tempfile.mkdtemp(dir=lasting_ground)) / request.param)
    kill(node, nth, die, command)
    assert node.open_changes()
    return node, old, new


@pytest.mark.parametrize("how", [die, die_torn], ids=["on-the-way-in", "in-the-middle"])
def test_a_recovery_that_is_killed_is_taken_up_by_the_next(
    interrupted: tuple[FaultNode, FaultNode, FaultNode], how: Fault, ground: Path
) -> None:
    """And the one after that finds nothing to do."""
    left, old, new = interrupted
    for nth in sample(len(calls_of(left, RECOVER)), about=4, salt=len(how.__name__)):
        node = left.copy(ground / str(nth))
        kill(node, nth, how, RECOVER)
        assert_old_or_new(node, old, new)
        recovered = node.run(*RECOVER)
        assert recovered.code == 0, (nth, recovered)
        assert_settled(node, old, new)
        node.gone()


@pytest.mark.skipif(straced.STRACE is None, reason=straced.NO_STRACE)
def test_every_changing_call_is_counted_from_inside_too(journey: Journey, ground: Path) -> None:
    """What strace sees on the node's files is what the tests above lay their faults at: nothing bypasses them."""
    old, _, command = journey
    inside = calls_of(old, command)
    traced = old.copy(ground / "traced")
    code, _ = straced.run(traced.root, ground / "trace", command)
    outside = straced.changing_calls(ground / "trace", traced.root)

    assert code == 0
    assert {call.kind for call in outside} <= {line.split()[0] for line in inside}
    # a failed call (an unlink of what is not there) is no change; the inside counts it
    assert len(outside) <= len(inside) <= len(outside) + 20


@pytest.mark.skipif(straced.STRACE is None, reason=straced.NO_STRACE)
@pytest.mark.timeout(900)
def test_killed_at_any_system_call_by_strace(journey: Journey, ground: Path) -> None:
    """The real process, a real SIGKILL on the way into the call, and a real `recover`."""
    old, new, command = journey
    walk(old, (old, new), command, ground, about=1)


@pytest.mark.skipif(straced.STRACE is None, reason=straced.NO_STRACE)
@pytest.mark.timeout(900)
def test_a_recovery_is_killed_at_any_system_call_by_strace(
    interrupted: tuple[FaultNode, FaultNode, FaultNode], ground: Path
) -> None:
    """The same for `recover`."""
    left, old, new = interrupted
    walk(left, (old, new), RECOVER, ground, about=1)


def walk(
    start: FaultNode, allowed: tuple[FaultNode, FaultNode], command: tuple[str, ...], ground: Path, *, about: int
) -> None:
    """A dry trace tells the calls; then a run for each."""
    calls = traced_calls(start, command, ground)
    assert len({call.pid for call in calls}) == 1
    for number in sample(len(calls), about=about, salt=5):
        node = killed_by_strace(start, command, calls, number - 1, ground)
        assert_old_or_new(node, *allowed)
        recovered = node.run(*RECOVER)
        assert recovered.code == 0, (calls[number - 1], recovered)
        assert_settled(node, *allowed)
        node.gone()
        TALLY["kills by strace at a system call (files alone)"] += 1


def traced_calls(start: FaultNode, command: tuple[str, ...], ground: Path) -> list[straced.Call]:
    traced = start.copy(ground / "traced")
    assert straced.run(traced.root, ground / "trace", command)[0] == 0
    traced.gone()
    return straced.changing_calls(ground / "trace", traced.root)


def killed_by_strace(
    start: FaultNode, command: tuple[str, ...], calls: list[straced.Call], index: int, ground: Path
) -> FaultNode:
    """A copy on which the command died on the way into that very call.

    A byte-code file that appears meanwhile shifts the count of all openings: then the calls are counted anew.
    """
    hits = []
    for attempt in range(LAST + 1):
        call, node = calls[index], start.copy(ground / "straced")
        code, said = straced.run(node.root, ground / "killed", command, f"{call.name}:signal=SIGKILL:when={call.nth}")
        if code == KILLED:
            hits.append(straced.last_changing_call(ground / "killed", node.root).place)
            # all openings are counted, of /proc and of modules too, so the one that is hit may be a neighbour
            if hits[-1] == call.place or (attempt == LAST and call.name.startswith("open")):
                return node
        node.gone()
        calls[:] = traced_calls(start, command, ground)
    return pytest.fail(f"{call} was meant; hit were {hits}: {said}")
