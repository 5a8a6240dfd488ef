"""From a trace of the real system calls: what has to be on disk before what happens next."""

from __future__ import annotations

from pathlib import Path

import pytest
import straced
from faultnode import FaultNode, Journey
from straced import Call

pytestmark = pytest.mark.skipif(straced.STRACE is None, reason=straced.NO_STRACE)
NODE = ("/etc/", "/var/log/")
ACTS = ("rename", "unlink", "mkdir", "rmdir")


@pytest.fixture
def traced(journey: Journey, ground: Path) -> list[Call]:
    """The changing calls of one command, in order."""
    node: FaultNode = journey[0].copy(ground / "node")
    assert straced.run(node.root, ground / "trace", journey[2])[0] == 0
    return straced.changing_calls(ground / "trace", node.root)


def is_act(call: Call) -> bool:
    """Does it change what the kubelet or the API server reads?"""
    return call.kind in ACTS and call.paths[-1].startswith(NODE)


def test_a_file_is_on_disk_before_its_rename_and_its_directory_after(traced: list[Call]) -> None:
    """Everywhere, the journal and the backups too; and no write comes in between."""
    renames = [(nth, call) for nth, call in enumerate(traced) if call.kind == "rename"]
    assert len(renames) >= 4
    for nth, call in renames:
        temporary, target = call.paths
        touching = [before.kind for before in traced[:nth] if before.paths[:1] == [temporary]]
        assert touching[-1] == "fsync", f"{call}: {touching}"
        after = traced[nth + 1]
        assert (after.kind, after.paths[0]) == ("fsync", str(Path(target).parent)), call


def test_the_intent_is_on_disk_before_every_act(traced: list[Call]) -> None:
    """The last thing that happened to the journal before an act is an fsync, never a write alone."""
    acts = [nth for nth, call in enumerate(traced) if is_act(call)]
    assert acts
    for nth in acts:
        journal = [call.kind for call in traced[:nth] if call.paths[0].endswith("/journal.jsonl")]
        assert journal[-1] == "fsync", traced[nth]


def test_the_journal_names_the_act_that_comes(traced: list[Call]) -> None:
    """`replacing` before the manifest's rename, `installing` before any other file, `removing` before a removal."""
    written = ""
    for call in traced:
        if call.kind == "write" and call.paths[0].endswith("/journal.jsonl"):
            written = call.text
        if not is_act(call) or ".before-" in call.paths[-1]:  # an old file that nobody can ask for any more
            continue
        step = "installing"
        if call.paths[-1].startswith("/etc/kubernetes/manifests/"):
            step = "replacing"
        elif call.kind in ("unlink", "rmdir"):
            step = "removing"
        assert f'\\"step\\": \\"{step}\\"' in written, f"{call} after {written}"


def test_every_backup_is_on_disk_before_the_first_act(traced: list[Call]) -> None:
    """And nothing is written to a backup later."""
    first = next(nth for nth, call in enumerate(traced) if is_act(call))
    backups = [nth for nth, call in enumerate(traced) if call.kind == "rename" and ".before" in call.paths[-1]]
    assert backups
    assert max(backups) < first
