"""A file system that fails at any one call, or from that call on: the exit code tells the state, and nothing is lost."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from calls import Counted, Fault, failing, failing_late, full_in_the_middle, lay, lie
from faultnode import EVERYTHING, FIRST, PURGED, RECOVER, SECOND, TALLY, FaultNode, Journey, calls_of, sample

FAULTS: dict[str, Fault] = {
    "ENOSPC": failing(errno.ENOSPC),
    "EIO": failing(errno.EIO),
    "EROFS": failing(errno.EROFS),
    "EACCES": failing(errno.EACCES),
    "EIO-though-done": failing_late(errno.EIO),
    "a-write-cut-short": full_in_the_middle,
}
COMMAND_OF_LAST_RESORT = re.compile(r"cp -p (\S+) \S+ && mv \S+ \S+")


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from-then-on"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.timeout(1800)
def test_an_error_at_any_call_is_told_as_it_is(journey: Journey, fault: str, lasting: bool, ground: Path) -> None:
    """3 where the node is as it was, 0 where it is as asked, 5 with the command that helps; then `recover` settles it."""
    old, new, command = journey
    for nth in sample(len(calls_of(old, command)), about=1, salt=len(fault) + len(command) + lasting):
        node = old.copy(ground / str(nth))
        act = FAULTS[fault]
        ran = node.run(*command, inside=lambda: lay(Counted(nth, act, lasting=lasting)))  # noqa: B023
        TALLY["errors injected from inside"] += 1
        told = f"call {nth}: {ran}"
        assert_the_code_is_right(node, old, new, ran.code, ran.said, told)
        assert lasting or ran.code != 3 or not node.strays(), told
        assert node.run(*RECOVER).code == 0, told
        assert not node.open_changes(), told
        assert not node.strays(), told
        assert not node.names_an_absent_file(), told
        assert node.manifest.read_bytes() in (old.manifest.read_bytes(), new.manifest.read_bytes()), told
        if ran.code == 3:
            assert node.tree() == old.tree(), told
        again = node.run(*command)
        assert again.code == 0 or command[0] == "rollback", f"{told}, {again}"
        node.gone()


def assert_the_code_is_right(node: FaultNode, old: FaultNode, new: FaultNode, code: int, said: str, told: str) -> None:
    """What the exit code says of the node, held against the node."""
    assert code in (0, 3, 5), told
    assert node.seen_by_the_kubelet() == ["kube-apiserver.yaml"], told
    assert not node.names_an_absent_file(), told
    manifest = node.manifest.read_bytes()
    if code == 0:
        assert manifest == new.manifest.read_bytes(), told
        assert "warning" in said or not node.open_changes(), told
        left = {name for name in set(node.files()) - set(node.hidden()) if ".before-" not in name}  # the next run's
        assert "not-removed" in said or left == {name for name in new.files() if ".before-" not in name}, told
    elif code == 3:
        assert "nothing was changed" in said, told
        assert {name: content for name, content in node.files().items() if name not in node.hidden()} == old.files(), (
            told
        )
    else:
        command = COMMAND_OF_LAST_RESORT.search(said)
        assert command, told
        assert Path(command[1]).read_bytes() == old.manifest.read_bytes(), told
        subprocess.run(command[0], shell=True, check=True)
        assert node.manifest.read_bytes() == old.manifest.read_bytes(), told


def test_a_lock_that_cannot_be_taken_is_not_another_run(ground: Path) -> None:
    """flock fails with ENOLCK or EIO: nobody holds it, and nobody says so."""
    node = FaultNode.new(ground / "node")
    for number in (errno.ENOLCK, errno.EIO):
        act = failing(number)
        ran = node.run(*FIRST, inside=lambda: lay(Counted(1, act, only=frozenset(["flock"]))))  # noqa: B023
        assert ran.code == 3
        assert "is changing this node" not in ran.said
        assert os.strerror(number).lower() in ran.said.lower()


def test_a_file_that_cannot_be_written_leaves_no_temporary_one(ground: Path) -> None:
    """Beside the policy and in the manifest directory: the write, the fsync and the rename fail, each alone."""
    node = FaultNode.new(ground / "node", FIRST)
    before = node.tree()
    calls = calls_of(node, SECOND)
    written = ("write ", "fsync ", "rename ")
    last = [
        nth for nth, line in enumerate(calls, 1) if line.startswith(written) and "/etc/" in line and ".yaml" in line
    ]
    assert len(last) == 6
    for nth in last:
        ran = node.run(*SECOND, inside=lambda: lay(Counted(nth, failing(errno.EIO))))  # noqa: B023
        assert ran.code == 3, ran
        assert node.tree() == before, calls[nth - 1]


def test_a_journal_entry_that_was_cut_short_stops_the_change(ground: Path) -> None:
    """The intent is on disk before the act, or the act does not happen."""
    node = FaultNode.new(ground / "node", FIRST)
    before = node.tree()
    calls = calls_of(node, SECOND)
    entries = [
        nth for nth, line in enumerate(calls, 1) if line.startswith("write ") and line.endswith("/journal.jsonl")
    ]
    for nth in entries[:3]:  # backed up, installing, replacing
        ran = node.run(*SECOND, inside=lambda: lay(Counted(nth, full_in_the_middle)))  # noqa: B023
        assert ran.code == 3, ran
        assert node.tree() == before
    assert node.run(*RECOVER).code == 0


def test_a_write_that_lies_is_met_before_its_file_counts(journey: Journey, ground: Path) -> None:
    """At each write: what is installed was read back; no record, policy or manifest without its first bytes."""
    old, new, command = journey
    writes = [
        nth
        for nth, line in enumerate(calls_of(old, command), 1)
        if line.startswith("write ") and not line.endswith("/lock")
    ]
    for index in sample(len(writes), about=3, salt=len(command)):
        node = old.copy(ground / str(index))
        nth = writes[index - 1]
        ran = node.run(*command, inside=lambda: lay(Counted(nth, lie)))  # noqa: B023
        TALLY["writes that lie"] += 1
        told = f"call {nth}: {ran}"
        assert_the_code_is_right(node, old, new, ran.code, ran.said, told)
        assert node.run(*RECOVER).code == 0, told
        assert node.files() in (old.files(), new.files()), told
        node.gone()


@contextmanager
def mounted(*words: str | Path) -> Iterator[None]:
    """A mount for the length of a test; skips where that is not allowed."""
    ran = subprocess.run(["mount", *map(str, words)], capture_output=True, text=True)
    if ran.returncode != 0:
        pytest.skip(f"mount is not allowed here: {ran.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(words[-1])], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("full", ["var/lib/auditctl", "etc/kubernetes/audit", "etc/kubernetes/manifests"])
def test_a_disk_that_is_really_full(full: str, ground: Path) -> None:
    """One, two, three ... free pages on a file system of its own: each way it ends in one of the two configurations."""
    for pages in range(12) if EVERYTHING else (0, 1, 3):
        folder = ground / f"{pages}"
        node = FaultNode.new(folder, FIRST)
        new = FaultNode.new(ground / f"{pages}-new", FIRST, SECOND)
        old = node.copy(ground / f"{pages}-old")
        saved = node.copy(ground / f"{pages}-saved")
        with mounted("-t", "tmpfs", "-o", "size=256k,mode=700", "none", folder / full):
            subprocess.run(["cp", "-a", f"{saved.root / full}/.", str(folder / full)], check=True)
            leave_free(folder / full, pages)
            ran = node.run(*SECOND)
            TALLY["real full disks"] += 1
            told = f"{pages} pages free: {ran}"
            assert_the_code_is_right(node, old, new, ran.code, ran.said, told)
            (folder / full / ".filling").unlink()
            assert node.run(*RECOVER).code == 0, told
            assert node.manifest.read_bytes() in (old.manifest.read_bytes(), new.manifest.read_bytes()), told
            assert node.run(*SECOND).code == 0, told
            assert node.files() == new.files(), told


def leave_free(folder: Path, pages: int) -> None:
    """Fill the file system of ``folder`` up to so many pages."""
    with (folder / ".filling").open("wb", buffering=0) as filling:
        try:
            while True:
                filling.write(b"x" * 4096)
        except OSError as error:
            assert error.errno == errno.ENOSPC
        filling.truncate(max(0, filling.tell() - pages * 4096))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("place", ["var/lib/auditctl", "etc/kubernetes/audit", "etc/kubernetes/manifests", "etc"])
def test_a_read_only_mount(place: str, ground: Path) -> None:
    """Exit 3 in one sentence that names the place; what it did before is taken back."""
    node = FaultNode.new(ground / "node", FIRST)
    before = node.tree()
    with mounted("--bind", node.root / place, node.root / place):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(node.root / place)], check=True)
        for command in (SECOND, PURGED):
            ran = node.run(*command)
            TALLY["read-only mounts"] += 1
            if place == "etc/kubernetes/audit" and command == PURGED:  # the manifest can be written: only files stay
                assert (ran.code, "not-removed" in ran.said) == (0, True), ran
                assert node.policy.exists()
                continue
            assert ran.code == 3, ran
            assert "read-only" in ran.said.lower()
            assert node.tree() == before
