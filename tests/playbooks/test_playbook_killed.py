"""SIGKILL to ansible-playbook, its workers, the module and auditctl: nobody runs anything, and the node finishes by itself."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from controlplanes import ControlPlanes, Node, brought_up

from auditctl.node.change.lock import lock
from auditctl.node.change.state import StateDirectory

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
FLAG = b"--audit-log-maxage=77"


@pytest.fixture
def two(tmp_path: Path) -> Iterator[ControlPlanes]:
    with brought_up(tmp_path, ("a", "b")) as found:
        yield found


def until(is_so: Callable[[], Any], seconds: float, what: str) -> Any:
    """Poll with a deadline."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := is_so():
            return found
        time.sleep(0.005)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


def of_the_run(planes: ControlPlanes) -> dict[int, str]:
    """Every process that the run has started, by its environment: pid and name."""
    mark = f"AUDITCTL_NOTED={planes.folder}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and mark in (entry / "environ").read_bytes():
                found[int(entry.name)] = (entry / "comm").read_text().strip()
    return found


def killed_between_the_rename_and_ready(planes: ControlPlanes, *words: str) -> set[str]:
    """Start, wait for the rename on the first node, and kill all of it at once; the names of what was killed."""
    process = planes.start("enable-audit.yml", *words)
    until(lambda: FLAG in planes.nodes["a"].manifest.read_bytes(), 60, "the rename")
    killed = {pid: name for pid, name in of_the_run(planes).items() if name != "auditctl-watch"}
    for pid in killed:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGKILL
    assert process.pid in killed
    return set(killed.values())


def last_step(node: Node) -> dict[str, str] | None:
    """The newest journal's last entry, if it is a final one."""
    folder = max((node.root / "var/lib/auditctl/changes").iterdir())
    last: dict[str, str] = json.loads((folder / "journal.jsonl").read_text().splitlines()[-1])
    return last if last["step"] in ("done", "undone", "stranded", "unconfirmed") else None


@pytest.mark.parametrize(("can_serve", "ends"), [(True, "done"), (False, "undone")], ids=["confirmed", "undone"])
def test_killed_between_rename_and_ready_the_node_finishes_and_the_next_run_resumes(
    two: ControlPlanes, can_serve: bool, ends: str
) -> None:
    """Confirmed, or undone within the timeout and the restart; the second node was never touched."""
    before, started = two.manifests(), two.processes()
    if not can_serve:
        two.nodes["a"].never_ready_with(FLAG.decode())
    timeout = "40s" if can_serve else "6s"
    options = json.dumps({"apiserver_audit_log_maxage": 77, "apiserver_audit_timeout": timeout})

    names = killed_between_the_rename_and_ready(two, "--extra-vars", options)
    began = time.monotonic()
    assert "ansible-playboo" in names  # comm holds 15 characters
    assert last_step(two.nodes["a"]) is None

    end = until(lambda: last_step(two.nodes["a"]), 60, "an end")
    print(f"{end} after {time.monotonic() - began:.1f} s; killed: {sorted(names)}")
    assert end["step"] == ends
    assert end["note"].endswith("by the watchdog")
    assert two.nodes["a"].serves
    assert (FLAG in two.nodes["a"].manifest.read_bytes()) == can_serve
    assert can_serve or two.nodes["a"].manifest.read_bytes() == before["a"]
    assert (two.nodes["b"].manifest.read_bytes(), two.nodes["b"].process) == (before["b"], started["b"])
    until(lambda: not of_the_run(two), 10, "all processes of the run are gone")

    two.nodes["a"].heal()
    standing = two.nodes["a"].process
    resumed = two.play("enable-audit.yml", log_maxage=77)
    assert (resumed.code, resumed.touched) == (0, ["a", "b"]), resumed.text
    assert [resumed.change(name)["changed"] for name in two.nodes] == [not can_serve, True]
    assert (two.nodes["a"].process == standing) == can_serve
    told = [finding["check"] for finding in resumed.change("a")["report"]["findings"]]
    assert "watchdog" in told
    said = "the watchdog confirmed it" if can_serve else "the watchdog undid it"
    assert said in resumed.change("a")["msg"]


def test_a_node_that_another_run_holds_is_waited_for_and_not_given_up(two: ControlPlanes) -> None:
    """As a dead run's watchdog does: it is tried again until the node is free."""
    state = StateDirectory(two.nodes["a"].root / "var/lib/auditctl")
    state.prepare()
    options = json.dumps({"apiserver_audit_log_maxage": 9, "apiserver_audit_busy_delay": 1})
    with lock(state, "enable"):
        process = two.start("enable-audit.yml", "--limit", "a", "--extra-vars", options)
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any("FAILED - RETRYING" in line for line in lines)
        assert b"audit" not in two.nodes["a"].manifest.read_bytes()
    text, _ = process.communicate(timeout=100)
    assert process.returncode == 0, text
    assert b"--audit-log-maxage=9" in two.nodes["a"].manifest.read_bytes()
