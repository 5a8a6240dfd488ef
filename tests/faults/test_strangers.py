"""Somebody else at the same time: another edit of the file, another run of ours, fifty of them; and a clock that jumps."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from calls import Counted, die, lay
from faultnode import (
    BACK,
    FIRST,
    RECOVER,
    SECOND,
    TALLY,
    FaultNode,
    Journey,
    assert_old_or_new,
    assert_settled,
    calls_of,
    sample,
)

from auditctl.cli.app import run
from auditctl.compatibility import UTC
from auditctl.node.clock import Clock

MANY = 50
MOST = 1000
GOES = ("/audit/policy.yaml", "/audit/webhook.yaml")
HELD = "is changing this node now"


def stranger(path: Path, text: bytes) -> Callable[..., Any]:
    """Before the call that it stands at, somebody puts another file there, by one rename."""
    opened, write, rename = os.open, os.write, os.rename  # the real ones

    def act(name: str, arguments: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        theirs = path.with_name(".theirs")
        descriptor = opened(theirs, os.O_WRONLY | os.O_EXCL | os.O_CREAT, 0o600)
        write(descriptor, text)
        os.close(descriptor)
        rename(theirs, path)
        return make()

    return act


def test_a_strangers_edit_at_any_moment_is_never_lost(journey: Journey, ground: Path) -> None:
    """Before the last look it refuses (exit 3) and takes everything back; after the rename theirs stands all the same.

    Left out are the rename itself and the removals: between the last look and the act nobody else can be kept out.
    """
    old, _, command = journey
    theirs = old.manifest.read_bytes() + b"# theirs\n"
    calls = calls_of(old, command)
    removals = [nth for nth, line in enumerate(calls, 1) if line.startswith("unlink ") and line.endswith(GOES)]
    renames = [nth for nth, line in enumerate(calls, 1) if line.startswith("rename ") and "/manifests/" in line]
    if not renames:
        pytest.skip("this journey replaces no manifest")
    (rename,) = renames
    for nth in sorted({*sample(len(calls), about=5, salt=1), rename - 1, rename + 1} - {rename}):
        node = old.copy(ground / str(nth))
        act = stranger(node.manifest, theirs)
        ran = node.run(*command, inside=lambda: lay(Counted(nth, act)))  # noqa: B023
        TALLY["strangers' edits"] += 1
        told = f"call {nth}: {ran}"
        if b"# theirs" not in node.manifest.read_bytes():
            pytest.fail(f"lost: {told}")
        if ran.code == 3:
            # planned on their text already, or taken back: the other files are as they were
            assert nth < rename, told
            assert "nothing was changed" in ran.said
            ours = {name: content for name, content in node.files().items() if "/manifests/" not in name}
            assert ours == {name: content for name, content in old.files().items() if "/manifests/" not in name}, told
        else:
            assert ran.code == 0, told
        assert node.run(*RECOVER).code == 0
        assert not node.open_changes()
        assert not node.strays()
        assert nth >= min(removals, default=MOST) or not node.names_an_absent_file(), told
        assert b"# theirs" in node.manifest.read_bytes(), told
        node.gone()


def test_a_strangers_policy_between_plan_and_rename_is_never_lost(ground: Path) -> None:
    """The installed policy is edited by hand while ours is on its way."""
    old = FaultNode.new(ground / "old", FIRST)
    calls = calls_of(old, SECOND)
    rename = next(nth for nth, line in enumerate(calls, 1) if line.startswith("rename ") and "/audit/policy" in line)
    for nth in (rename - 1, rename - 3, rename - 8):
        node = old.copy(ground / str(nth))
        act = stranger(node.policy, b"# theirs\n")
        ran = node.run(*SECOND, inside=lambda: lay(Counted(nth, act)))  # noqa: B023
        assert ran.code == 3, ran
        assert "somebody else changed it" in ran.said
        assert node.policy.read_bytes() == b"# theirs\n"
        assert node.manifest.read_bytes() == old.manifest.read_bytes()


def test_a_strangers_policy_where_none_stood_is_never_lost(ground: Path) -> None:
    """At every call up to our own rename, of a first `enable`."""
    old = FaultNode.new(ground / "old")
    calls = calls_of(old, FIRST)
    rename = next(nth for nth, line in enumerate(calls, 1) if line.startswith("rename ") and "/audit/policy" in line)
    first = next(nth for nth, line in enumerate(calls, 1) if line.startswith("open ") and "/audit/.policy" in line)
    assert rename - first >= 3
    for nth in range(first, rename + 1):
        node = old.copy(ground / str(nth))
        act = stranger(node.policy, b"# theirs\n")
        ran = node.run(*FIRST, inside=lambda: lay(Counted(nth, act)))  # noqa: B023
        TALLY["strangers' edits"] += 1
        assert ran.code == 3, (nth, ran)
        assert node.policy.read_bytes() == b"# theirs\n", calls[nth - 1]
        assert node.manifest.read_bytes() == old.manifest.read_bytes()


@pytest.mark.parametrize("number", [2, MANY])
def test_runs_at_once_win_or_say_that_another_holds_the_lock(number: int, ground: Path) -> None:
    """All wait at one gate; every winner is in the history, the last one is what stands, the others changed nothing."""
    node = FaultNode.new(ground / "node", FIRST)
    reader, writer = os.pipe()
    children = {}
    for nth in range(number):
        pid = os.fork()
        if pid == 0:
            os.close(writer)
            os._exit(racer(node.root, nth, reader))
        children[pid] = nth
    os.close(reader)
    os.close(writer)  # the gate opens
    codes = {nth: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid, nth in children.items()}
    TALLY["runs at once"] += number

    winners = [nth for nth, code in codes.items() if code == 0]
    assert winners
    assert set(codes.values()) <= {0, 3}
    for nth, code in codes.items():
        assert (HELD in (node.root / f"racer-{nth}").read_text()) == (code == 3)
    journals = node.plane().state.journals()
    assert len(journals) == 1 + len(winners)
    standing = f"--audit-log-maxage={100 + winners_last(journals)}"
    assert standing in node.manifest.read_text()
    assert [journal.manifest.before for journal in journals[1:]] == [
        journal.manifest.after for journal in journals[:-1]
    ]
    assert not node.open_changes()
    assert not node.strays()
    assert node.seen_by_the_kubelet() == ["kube-apiserver.yaml"]


def racer(root: Path, nth: int, gate: int) -> int:
    """One of many: waits for the gate, then changes one flag to a value of its own."""
    os.read(gate, 1)
    with (root / f"racer-{nth}").open("w") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        sys.stdout = sys.stderr = said
        return run(["auditctl", "--rootfs", str(root), "enable", "--log-maxage", str(100 + nth), "--no-wait"])


def winners_last(journals: list[Any]) -> int:
    return int(journals[-1].summary.rpartition("=")[2]) - 100


JUMPS = {
    "ten-years-back": (0, -10),
    "ten-years-on": (0, 10),
    "back-and-forth-at-every-look": (-3, 3),
}


@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_jumps_changes_nothing_but_the_times(jump: str, ground: Path) -> None:
    """The history keeps its order, a rollback finds the last change, a kill is recovered from."""
    years = JUMPS[jump]
    old = FaultNode.new(ground / "old", FIRST)
    new = FaultNode.new(ground / "new", FIRST, SECOND)
    looks = 0

    def utc(self: Clock) -> datetime:
        nonlocal looks
        looks += 1
        now = datetime.now(UTC)
        return now.replace(year=now.year + years[looks % 2 if min(years) else 1], day=1)

    def jumping() -> None:
        Clock.utc = utc  # type: ignore[method-assign]

    node = old.copy(ground / "node")
    assert node.run(*SECOND, inside=jumping).code == 0
    assert node.tree() == new.tree()
    assert node.run(*BACK, inside=jumping).code == 0
    assert node.tree() == old.tree()
    assert [journal.command for journal in node.plane().state.journals()] == ["enable", "enable", "rollback"]
    for nth in sample(len(calls_of(old, SECOND)), about=4):
        node = old.copy(ground / str(nth))
        node.run(*SECOND, inside=lambda: (jumping(), lay(Counted(nth, die))))  # noqa: B023
        assert_old_or_new(node, old, new)
        assert node.run(*RECOVER).code == 0
        assert_settled(node, old, new)
        TALLY["kills from inside, the clock jumping"] += 1
