"""The power fails at any call: whatever was not fsynced may be lost, in any order; the node is old or new, never neither."""

from __future__ import annotations

import os
import pickle
import random
from pathlib import Path

import pytest
from calls import lay
from faultnode import (
    EVERYTHING,
    RECOVER,
    TALLY,
    FaultNode,
    Journey,
    assert_old_or_new,
    calls_of,
    sample,
)
from powerloss import Disk, Recorder, lay_out, seeds

LOSSES = 40 if EVERYTHING else 6  # for each point: so many disks that the failure may leave
POWER_OFF = 77


def stopped_before(node: FaultNode, nth: int, words: tuple[str, ...], notes: Path) -> Disk:
    """Run the command up to its n-th call on the folder; the model of the disk at that moment."""
    disk = Disk.of(node.root)

    def stop() -> None:
        notes.write_bytes(pickle.dumps(disk))
        os._exit(POWER_OFF)

    recorder = Recorder(disk, node.root, nth, stop)
    ran = node.run(*words, inside=lambda: lay(recorder))
    if ran.code == POWER_OFF:
        return pickle.loads(notes.read_bytes())
    assert ran.code == 0, ran
    pytest.fail(f"the run has fewer than {nth} calls")


@pytest.mark.timeout(3600)
def test_what_the_disk_keeps_is_old_or_new_and_is_recovered(journey: Journey, ground: Path) -> None:
    """Every point, some disks each: the manifest is whole, the next run finishes or undoes, `disable` works on."""
    old, new, command = journey
    for nth in sample(len(calls_of(old, command)) - 4, about=5, salt=len(command)):
        node = old.copy(ground / "node")
        disk = stopped_before(node, nth, command, ground / "disk")
        for choose in seeds(LOSSES):
            lay_out(disk, node.root, choose)
            TALLY["power failures in the model"] += 1
            told = f"call {nth}, {choose.getstate()[1][:2]}"
            assert_old_or_new(node, old, new)
            recovered = node.run(*RECOVER)
            assert recovered.code == 0, (told, recovered, sorted(node.files()))
            assert not node.open_changes(), told
            assert_old_or_new(node, old, new)
            assert node.files() in (old.files(), new.files()) or not node.strays(), told
        node.gone()


def left_by_a_replacement(root: Path, seed: int, *, synced: bool) -> bytes:
    """What a file holds after a power failure right behind the rename, with or without the fsync before it."""
    path, new = root / "manifest", root / ".new"
    path.write_bytes(b"old")
    disk = Disk.of(root)
    recorder = Recorder(disk, root, 99, lambda: None)
    descriptor = recorder("open", (str(new), 0), lambda: os.open(new, os.O_WRONLY | os.O_CREAT, 0o600))
    recorder("write", (descriptor, b"new"), lambda: os.write(descriptor, b"new"))
    if synced:
        recorder("fsync", (descriptor,), lambda: os.fsync(descriptor))
    os.close(descriptor)
    recorder("rename", (str(new), str(path)), lambda: new.rename(path))
    lay_out(disk, root, random.Random(seed))
    return path.read_bytes()


def test_the_model_knows_what_a_missing_fsync_costs(ground: Path) -> None:
    """Without the fsync of the file a rename may leave an empty manifest: the model finds that, so it can find ours."""
    root = ground / "root"
    root.mkdir()

    assert {left_by_a_replacement(root, seed, synced=True) for seed in range(60)} == {b"old", b"new"}
    assert b"" in {left_by_a_replacement(root, seed, synced=False) for seed in range(60)}
