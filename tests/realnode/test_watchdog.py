"""The run is killed on a real node; nobody runs anything, and the node is whole again. And what an outage costs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MANIFEST = Path("/etc/kubernetes/manifests/kube-apiserver.yaml")
POLICY = Path("/etc/kubernetes/audit/policy.yaml")
CHANGES = Path("/var/lib/auditctl/changes")
METADATA = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
BROKEN = METADATA.replace("Metadata", "Metada")
FINAL = ("done", "undone", "unconfirmed", "stranded", "abandoned")


def until(is_so: Callable[[], Any], seconds: float) -> Any:
    """Poll with a deadline."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := is_so():
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds:.0f} s")


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "auditctl", *map(str, words)]


def killed_after_the_rename(*words: str | Path) -> None:
    """SIGKILL to the whole process group, as a controller does whose connection is gone."""
    before = MANIFEST.read_bytes()
    process = subprocess.Popen(command(*words), start_new_session=True, stderr=subprocess.PIPE)
    until(lambda: MANIFEST.read_bytes() != before, 60)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=10)


def ended() -> dict[str, str] | None:
    """The last word of the newest change, if it is a final one."""
    last: dict[str, str] = json.loads((max(CHANGES.iterdir()) / "journal.jsonl").read_text().splitlines()[-1])
    return last if last["step"] in FINAL else None


def status() -> dict[str, Any]:
    ran = subprocess.run([*command("status"), "-o", "json"], capture_output=True, text=True, check=False)
    report: dict[str, Any] = json.loads(ran.stdout)
    return report


def test_killed_after_the_rename_it_is_confirmed_or_undone_by_itself(tmp_path: Path) -> None:
    """First one that cannot start (its policy is broken behind its back), then a good one."""
    before = MANIFEST.read_bytes()
    policy = tmp_path / "p.yaml"
    policy.write_text(METADATA)

    killed_after_the_rename("enable", "--policy", policy, "--timeout", "90s")
    POLICY.write_text(BROKEN)
    began = time.monotonic()
    end = until(ended, 180)
    print("undone after", time.monotonic() - began, end)
    assert end["step"] == "undone"
    assert "Metada" in end["note"]
    assert MANIFEST.read_bytes() == before
    assert not status()["status"]["enabled"]
    POLICY.unlink()

    killed_after_the_rename("enable", "--policy", policy, "--timeout", "90s")
    end = until(ended, 120)
    assert (end["step"], end["note"]) == ("done", "by the watchdog")
    now = status()
    assert now["status"]["enabled"]
    assert any("confirmed" in finding["message"] for finding in now["findings"])
    again = subprocess.run(
        [*command("enable", "--policy", policy), "-o", "json"], capture_output=True, text=True, check=False
    )
    assert json.loads(again.stdout)["outcome"] == "Unchanged"
    assert status()["status"]["process"]["pid"] == now["status"]["process"]["pid"]
    off = subprocess.run([*command("disable", "--purge"), "-o", "json"], capture_output=True, text=True, check=False)
    assert off.returncode == 0


def test_the_outage_beside_that_of_the_edit_by_hand() -> None:
    """In one run. Prints every line of it."""
    ran = subprocess.run([sys.executable, HERE / "outage.py"], capture_output=True, text=True, check=True)
    print(ran.stdout)
    runs = json.loads(ran.stdout.splitlines()[-1])["runs"]
    assert len(runs) == 5
