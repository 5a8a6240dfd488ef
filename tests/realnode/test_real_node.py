"""The same job on a real control-plane node of this machine: real kubelet, containerd, etcd and kube-apiserver.

Needs root, the node script beside the repository, and a folder with kube-apiserver, kubelet and kubeadm of one version.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NODE = Path(__file__).parents[3] / "shared/realnode/node"
BINARIES = os.environ.get("AUDITCTL_NODE_BIN") or os.environ.get("KUBEBUILDER_ASSETS") or ""
MANIFEST = Path("/etc/kubernetes/manifests/kube-apiserver.yaml")
POLICY = Path("/etc/kubernetes/audit/policy.yaml")
METADATA = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n- level: Metadata\n"
EVERYTHING = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: RequestResponse\n"
BROKEN = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metada\n"

pytestmark = [pytest.mark.node, pytest.mark.timeout(900)]


def reason() -> str:
    """Why these tests cannot run here, in plain words; empty where they can."""
    if not BINARIES or not (Path(BINARIES) / "kube-apiserver").exists():
        return "AUDITCTL_NODE_BIN names no folder with kube-apiserver, kubelet and kubeadm"
    if os.geteuid() != 0:
        return "a real node needs root"
    if not NODE.exists():
        return "the node script is not beside the repository"
    return "there is a node on this machine already" if MANIFEST.exists() else ""


@pytest.fixture(scope="module", autouse=True)
def node() -> Iterator[None]:
    """A node for the module, removed at its end."""
    if reason():
        pytest.skip(reason())
    subprocess.run(["bash", NODE, "up", BINARIES], check=True, timeout=300)
    yield
    subprocess.run(["bash", NODE, "down"], check=True, timeout=120)


def run(*words: str | Path) -> tuple[int, dict[str, Any]]:
    """auditctl, as its user would; prints what the closing note needs."""
    ran = subprocess.run(
        [sys.executable, "-m", "auditctl", *map(str, words), "-o", "json"], capture_output=True, text=True, timeout=800
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    report = json.loads(ran.stdout)
    print(words, ran.returncode, report["summary"], report["timings"])
    return ran.returncode, report


def test_the_whole_way(tmp_path: Path) -> None:
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
    assert code == 4
    assert "allowed modes are" in report["summary"]
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
