"""A real control-plane node of this machine for each module of tests here: real kubelet, containerd, etcd, API server.

Needs root, the node script beside the repository, and a folder with kube-apiserver, kubelet and kubeadm of one version,
named by AUDITCTL_NODE_BIN (or KUBEBUILDER_ASSETS); skipped with a plain reason where one is missing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

NODE = Path(__file__).parents[3] / "shared/realnode/node"
BINARIES = os.environ.get("AUDITCTL_NODE_BIN") or os.environ.get("KUBEBUILDER_ASSETS") or ""
MANIFEST = Path("/etc/kubernetes/manifests/kube-apiserver.yaml")
Run: TypeAlias = Callable[..., tuple[int, dict[str, Any]]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Restarts take their time."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.node)
            item.add_marker(pytest.mark.timeout(900))


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


@pytest.fixture(scope="session")
def run() -> Run:
    """The function that runs auditctl as its user would, and returns exit code and report."""
    return _run


@pytest.fixture(scope="session")
def binaries() -> Path:
    """The folder with the real programs."""
    return Path(BINARIES)


def _run(*words: str | Path) -> tuple[int, dict[str, Any]]:
    """It prints what the closing note needs."""
    ran = subprocess.run(
        [sys.executable, "-m", "auditctl", *map(str, words), "-o", "json"], capture_output=True, text=True, timeout=800
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    report = json.loads(ran.stdout)
    print(words, ran.returncode, report["summary"], report["timings"])
    return ran.returncode, report
