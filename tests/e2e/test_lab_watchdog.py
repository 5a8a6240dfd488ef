"""The dead man's switch on a lab node: the run is killed, nobody runs anything, and the node is whole again."""

from __future__ import annotations

import grp
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from nodes import EVERYTHING, METADATA, Node

from auditctl.hints import Invocation
from auditctl.lab.node.injected_faults import Faults, clear
from auditctl.lab.node.layout import Layout
from auditctl.node.change import change as changes
from auditctl.node.change import files
from auditctl.node.change.change import Intent
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.journal import Role
from auditctl.operations.change_model import Restart
from auditctl.operations.controlplane import ControlPlane

DEADLINE_SECONDS = 60.0
NEVER_READY = ("--log-maxage", "77", "--timeout", "4s")  # what no check beforehand can see: `unable` makes it so
# Runs auditctl and writes down every module that is looked for and not there yet (pid, name), in each of its processes.
IMPORTS_NOTED = """
import os, sys
def noted(event, arguments, note=os.open({path!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)):
    if event == "import":
        os.write(note, f"{{os.getpid()}} {{arguments[0]}}\\n".encode())
sys.addaudithook(noted)
from auditctl.__main__ import main
main()
"""


def until(is_so: Callable[[], Any], what: str, seconds: float = DEADLINE_SECONDS) -> Any:
    """Poll with a deadline."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := is_so():
            return found
        time.sleep(0.005)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


def last(node: Node) -> dict[str, Any]:
    """The newest journal: the id, the last step, its note."""
    folder = max((node.root / "var/lib/auditctl/changes").iterdir())
    return {"id": folder.name, **json.loads((folder / "journal.jsonl").read_text().splitlines()[-1])}


def killed_after_the_rename(node: Node, *words: str | Path, whole_group: bool = False) -> bytes:
    """Start a change and kill it with SIGKILL once the new manifest stands; the bytes from before."""
    before = node.manifest.read_bytes()
    process = node.start(*words, start_new_session=True)
    until(lambda: node.manifest.read_bytes() != before, "the rename")
    if whole_group:
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGKILL
    return before


def unable(node: Node) -> None:
    """A server with `NEVER_READY`'s flag will not get ready."""
    Faults(only_with="--audit-log-maxage=77", never_ready=True).save(Layout(node.root))


def finished(node: Node) -> dict[str, Any]:
    """Wait until the journal's last word is a final one."""
    return until(lambda: step if (step := last(node))["step"] in ("done", "undone", "stranded") else None, "an end")


def watching(node: Node) -> set[int]:
    """Pids of the watchdogs of this lab that live (a zombie has no command line)."""
    found = set()
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and (entry / "comm").read_text().strip() == "auditctl-watch":
                found |= {int(entry.name)} if str(node.root) in (entry / "cmdline").read_text() else set()
    return found


@pytest.mark.parametrize(
    ("whole_group", "more", "left"),
    [
        (False, (), ""),
        (True, ("--readers", grp.getgrgid(os.getgid()).gr_name), "auditctl enable --readers"),
    ],
)
def test_killed_after_the_rename_of_a_good_manifest_it_is_confirmed_without_a_second_outage(
    node: Node, whole_group: bool, more: tuple[str, ...], left: str
) -> None:
    """The receipt is taken by the watchdog; the process that it found serving is the one that still serves.

    What the run would have done behind the change is not done, and said.
    """
    assert node.enable(METADATA).code == 0
    killed_after_the_rename(node, "enable", "--log-maxage", "7", *more, whole_group=whole_group)
    end = finished(node)
    command = " ".join((left, *more[1:]))
    assert (end["step"], end["note"]) == (
        "done",
        f"left to do: {command}, by the watchdog" if left else "by the watchdog",
    )
    serving = node.run("status").report["status"]["process"]
    assert b"--audit-log-maxage=7" in node.manifest.read_bytes()
    assert "--audit-log-maxage=7" in serving["flags"]

    told = node.run("enable", "--log-maxage", "7")
    assert (told.code, told.report["outcome"]) == (0, "Unchanged")
    finding = next(f for f in told.report["findings"] if f["check"] == "watchdog")
    assert "confirmed" in finding["message"]
    typed = Invocation("kube-auditctl", (("--rootfs", str(node.root)),)).pasteable
    assert finding["fix"] == typed(command if left else "see `auditctl history`")
    assert node.run("status").report["status"]["process"]["pid"] == serving["pid"]


def test_killed_after_the_rename_of_a_manifest_that_cannot_start_the_node_comes_back_by_itself(node: Node) -> None:
    """And while the watchdog works, `status` shows it and another run is refused in a clear sentence."""
    assert node.enable(METADATA).code == 0
    unable(node)
    before = killed_after_the_rename(node, "enable", *NEVER_READY)
    busy = until(
        lambda: found if "watchdog" in (found := (node.root / "var/lib/auditctl/lock").read_text()) else "", ""
    )
    assert last(node)["id"] in busy
    refused = node.run("enable", "--log-maxage", "9")
    assert (refused.code, "watchdog" in refused.report["summary"]) == (3, True)
    assert any("the watchdog" in finding["message"] for finding in node.run("status").report["findings"])

    end = finished(node)
    assert end["step"] == "undone"
    assert "was not ready" in end["note"]
    assert end["note"].endswith("by the watchdog")
    assert node.manifest.read_bytes() == before
    assert node.is_ready()
    assert node.names_seen_by_the_kubelet() == ["kube-apiserver.yaml"]
    until(lambda: not watching(node), "the watchdog is gone")
    told = node.run("enable", "--log-maxage", "9")
    assert (told.code, told.report["findings"][0]["check"]) == (0, "watchdog")


@pytest.mark.timeout(240)
def test_a_run_that_is_stopped_is_taken_over_past_its_deadline(node: Node) -> None:
    """SIGSTOP after the rename (a debugger, a frozen cgroup): it never lets go of its lock, and the server cannot start."""
    assert node.enable(METADATA).code == 0
    unable(node)
    before = node.manifest.read_bytes()
    process = node.start("enable", *NEVER_READY, "--drain", "0")
    until(lambda: node.manifest.read_bytes() != before, "the rename")
    os.kill(process.pid, signal.SIGSTOP)

    end = until(lambda: step if (step := last(node))["step"] in ("done", "undone", "stranded") else None, "", 120)

    assert (end["step"], node.manifest.read_bytes()) == ("undone", before)
    assert end["note"].endswith("by the watchdog")
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGKILL
    assert node.is_ready()
    assert node.run("enable", "--log-maxage", "9").code == 0


def test_a_policy_loaded_in_place_is_confirmed_too(node: Node) -> None:
    """The manifest does not change; the run dies between the policy's rename and the receipt."""
    assert node.enable(METADATA).code == 0
    policy = node.root / "q.yaml"
    policy.write_text(EVERYTHING)
    process = node.start("enable", "--policy", policy, start_new_session=True)
    until(lambda: node.policy.read_text() == EVERYTHING, "the policy")
    process.kill()
    process.communicate(timeout=10)
    end = finished(node)
    standing = {"done": EVERYTHING, "undone": METADATA}  # before the manifest's turn it goes back
    assert node.policy.read_text() == standing[end["step"]]
    assert end["note"].endswith("by the watchdog")
    until(node.is_ready, "serving")


def test_a_restart_that_the_watchdog_undoes_leaves_the_edited_policy_beside(node: Node) -> None:
    """Its author has only this copy."""
    assert node.enable(METADATA).code == 0
    Faults(only_with="--audit-", start_seconds=60).save(Layout(node.root))
    node.policy.write_text(EVERYTHING)
    process = node.start("restart", "--timeout", "4s", "-v", start_new_session=True)
    assert process.stderr is not None
    until(lambda: "[auditctl] change " in process.stderr.readline(), "the change")
    until(lambda: last(node)["step"] == "waiting", "the wait")
    process.kill()
    process.communicate(timeout=10)
    until(lambda: node.policy.read_text() == METADATA, "the undo")
    clear(Layout(node.root))
    assert finished(node)["note"].endswith("by the watchdog")
    (rejected,) = node.policy.parent.glob("policy.yaml.rejected-*")
    assert rejected.name.removeprefix("policy.yaml.rejected-") == last(node)["id"]
    assert rejected.read_text() == EVERYTHING


def test_killed_before_the_old_process_was_told_to_end_recover_ends_it_in_place(node: Node) -> None:
    """As the watchdog does; without one, nobody else would, and a good change would be undone."""
    assert node.enable(METADATA).code == 0
    old = node.run("status").report["status"]["process"]["pid"]
    plane = ControlPlane(rootfs=node.root)
    snapshot, _ = plane.read_manifest()
    there = files.read(node.policy, "policy")
    edits = (
        FileEdit(role=Role.POLICY, path=node.policy, before=there, after=EVERYTHING.encode()),
        FileEdit(role=Role.MANIFEST, path=plane.manifest_path, before=snapshot, after=snapshot.content),
    )
    intent = Intent(command="enable", summary="x", who={}, restart=Restart.IN_PLACE.name)
    changes.install(changes.begin(plane.state, plane.root, plane.clock, edits, intent))

    began = time.monotonic()
    recovered = node.run("recover")

    assert (recovered.code, "kept" in recovered.report["summary"]) == (0, True), recovered.report["summary"]
    assert time.monotonic() - began < 20
    assert node.run("status").report["status"]["process"]["pid"] != old
    assert node.run("verify", "--expect", "get pods -> RequestResponse").code == 0


def test_the_watchdog_needs_no_import_after_it_was_set_out(node: Node, tmp_path: Path) -> None:
    """A package that is replaced, or a disk that fails, takes nothing from it."""
    assert node.enable(METADATA).code == 0
    unable(node)
    noted = tmp_path / "imports"
    before = node.manifest.read_bytes()
    for words, end in ((NEVER_READY, "undone"), (("--log-maxage", "7"), "done")):
        script = IMPORTS_NOTED.format(path=str(noted))
        command = [sys.executable, "-c", script, "--rootfs", str(node.root), "enable", *words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until(lambda: node.manifest.read_bytes() != before, "the rename")
        process.kill()
        process.communicate(timeout=10)
        assert finished(node)["step"] == end
        lines = [line.split() for line in noted.read_text().splitlines()]
        assert any(int(pid) == process.pid for pid, _ in lines)
        assert [name for pid, name in lines if int(pid) != process.pid] == []
        noted.unlink()


def test_a_caller_that_reads_our_output_is_not_kept_waiting(node: Node) -> None:
    """While the watchdog works on, no pipe of the caller's is open any more, on stdout, stderr, or any other descriptor."""
    assert node.enable(METADATA).code == 0
    unable(node)
    before = node.manifest.read_bytes()
    reader, writer = os.pipe()
    process = node.start("enable", *NEVER_READY, pass_fds=(writer,))
    os.close(writer)
    until(lambda: node.manifest.read_bytes() != before, "the rename")
    process.kill()
    process.communicate(timeout=10)
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert last(node)["step"] not in ("done", "undone")
    assert finished(node)["step"] == "undone"


def test_a_run_that_ends_leaves_no_watchdog_and_no_lock_behind(node: Node) -> None:
    """The next command in a script is not refused."""
    for age in ("7", "8"):
        assert node.enable(METADATA, "--log-maxage", age).code == 0
        assert not watching(node)
    assert node.enable(METADATA, "--log-maxage", "9", "--no-wait").code == 0
    assert not watching(node)


def test_told_to_end_the_watchdog_leaves_the_change_to_recover(node: Node) -> None:
    """SIGTERM: the machine goes down. The next command finishes, as without a watchdog."""
    assert node.enable(METADATA).code == 0
    unable(node)
    before = killed_after_the_rename(node, "enable", *NEVER_READY)
    (pid,) = until(lambda: watching(node), "a watchdog")
    os.kill(pid, signal.SIGTERM)
    until(lambda: not watching(node), "it ends")
    assert last(node)["step"] not in ("done", "undone")
    assert node.run("recover").code == 0
    assert last(node)["step"] == "undone"
    assert node.manifest.read_bytes() == before


@pytest.mark.parametrize("words", [("--no-wait",), ("--no-rollback",)])
def test_no_watchdog_where_nothing_is_waited_for_or_put_back(node: Node, words: tuple[str, ...]) -> None:
    """The run says nothing of one."""
    assert "takes over" in node.enable(METADATA).stderr
    assert "takes over" not in node.enable(METADATA, "--log-maxage", "7", *words).stderr
