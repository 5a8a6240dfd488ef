"""The same job on a real control-plane node of this machine (see conftest)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

MANIFEST = Path("/etc/kubernetes/manifests/kube-apiserver.yaml")
POLICY = Path("/etc/kubernetes/audit/policy.yaml")
METADATA = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n"
EVERYTHING = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: RequestResponse\n"
BROKEN = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metada\n"
Run = Callable[..., tuple[int, dict[str, Any]]]


def test_the_whole_way(tmp_path: Path, run: Run) -> None:
    """Enable, again, another policy, a bad edit in place, a good one, a failure put back, disable, rollback."""
    before = MANIFEST.read_bytes()
    policy = tmp_path / "p.yaml"
    policy.write_text(METADATA)

    code, report = run("enable", "--policy", policy)
    assert (code, report["receipt"]["level"]) == (0, "Metadata")
    code, report = run("enable", "--policy", policy)
    assert (code, report["outcome"]) == (0, "Unchanged")

    policy.write_text(EVERYTHING)
    code, report = run("enable", "--policy", policy)
    assert (code, report["receipt"]["level"], report["receipt"]["distinguishes"]) == (0, "RequestResponse", True)

    POLICY.write_text(BROKEN)
    assert run("restart")[0] == 3
    assert run("status")[0] == 1
    POLICY.write_text(METADATA)
    code, report = run("restart")
    assert (code, report["receipt"]["level"]) == (0, "Metadata")
    code, report = run("restart")
    assert (code, report["manifest"]["patch"]) == (0, [])

    standing = MANIFEST.read_bytes()
    code, report = run("enable", "--set", "audit-log-mode=async")
    assert code == 3
    assert "allowed modes are" in report["summary"]
    _dies_and_is_put_back(run)
    assert MANIFEST.read_bytes() == standing
    assert run("verify", "--expect", "get secrets in prod -> Metadata")[0] == 0

    assert run("disable", "--purge")[0] == 0
    assert MANIFEST.read_bytes() == before
    assert not POLICY.parent.exists()
    code, report = run("rollback")
    assert code == 0
    assert MANIFEST.read_bytes() == standing
    assert report["receipt"]["level"] == "Metadata"
    assert run("disable", "--purge")[0] == 0
    assert MANIFEST.read_bytes() == before


def _dies_and_is_put_back(run: Run) -> None:
    nowhere = Path("/var/log/kubernetes/other/audit.log")
    nowhere.parent.mkdir(parents=True)
    nowhere.symlink_to("nowhere/audit.log")  # what no look at paths and flags sees
    code, report = run("enable", "--log-path", nowhere)
    nowhere.unlink()
    nowhere.parent.rmdir()
    assert code == 4
    assert "ensureLogFile: open" in report["summary"]
