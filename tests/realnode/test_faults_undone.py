"""Faults that come between the rename and the proof on a real node: undone with 4 and the true reason, and it serves again."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from races import (
    LOG,
    MANIFEST,
    METADATA,
    POLICY,
    Etcd,
    Port,
    Said,
    no_kubelet,
    put,
    raced,
    said_by_the_server,
    servers,
    serves,
)

Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def policy(tmp_path: Path) -> Iterator[Path]:
    """A good one; and at the end the node serves with the manifest that it had."""
    before = MANIFEST.read_text()
    named = tmp_path / "p.yaml"
    named.write_text(METADATA)
    yield named
    if subprocess.run(["mountpoint", "-q", LOG.parent], check=False).returncode == 0:
        subprocess.run(["umount", LOG.parent], check=True)
    assert MANIFEST.read_text() == before
    assert not POLICY.exists(), "neither our file, nor the directory that the runtime makes of a mount without one"
    serves()


def undone(said: Said, words: str) -> None:
    assert said.code == 4, said.summary
    assert words in said.summary
    assert said.summary.endswith("put back; the API server is ready with the old configuration again")


def test_f37_a_kubelet_that_does_not_act(policy: Path) -> None:
    """The old server serves on, all along."""
    serving, began = servers(), time.monotonic()
    with no_kubelet():
        said = raced(lambda: None, "enable", "--policy", policy, "--timeout", "10s", "--allow", "kubelet-not-running")

    undone(said, "was not ready within 10 s")
    assert servers() == serving
    assert time.monotonic() - began >= 10


def test_f25_the_policy_is_taken_away_before_the_pod_starts(policy: Path) -> None:
    """No container, no log of one: only the kubelet knows."""
    undone(raced(POLICY.unlink, "enable", "--policy", policy, "--drain", "1s"), f"{POLICY}")


def test_f35_somebody_else_takes_the_port_and_keeps_it(policy: Path) -> None:
    """It may heal, so it is waited for; not longer than asked."""
    port = Port()

    def told(line: str) -> None:
        if "putting the node back" in line:
            port.release()

    said = raced(port.take, "enable", "--policy", policy, "--drain", "1s", "--timeout", "30s", told=told)
    undone(said, "listens on port 6443 and is not trusted to be this node's API server")


def test_etcd_goes_and_does_not_come_back(policy: Path) -> None:
    """Not a fault of the change, but the change is not proved: the deadline decides."""
    etcd = Etcd()

    def told(line: str) -> None:
        if "putting the node back" in line:
            etcd.start()

    said = raced(etcd.end, "enable", "--policy", policy, "--drain", "1s", "--timeout", "40s", told=told)
    etcd.start()
    undone(said, "etcd")


def test_f63_a_full_disk(policy: Path) -> None:
    """The server is ready, and what it records is lost."""

    def fill() -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", LOG.parent], check=True)
        LOG.write_bytes(bytes(4096))

    began = time.time()
    undone(raced(fill, "enable", "--policy", policy, "--drain", "1s"), "space")
    assert said_by_the_server("ready", began) is None or servers()


def test_f31_f38_a_copy_that_appears_wins_and_doctor_brings_the_pod_back(policy: Path, run: Run) -> None:
    """A healthy server, and silent: it is not called a success."""
    text = MANIFEST.read_text()
    copy = MANIFEST.with_name("kube-apiserver.yaml.bak")

    def appear() -> None:
        copy.with_name(".bak").write_text(text)
        copy.with_name(".bak").rename(copy)

    said = raced(appear, "enable", "--policy", policy, "--drain", "1s", "--timeout", "40s")
    assert said.code in (4, 5), said.summary
    assert f"{copy} defines the same Pod" in said.summary
    assert MANIFEST.read_text() == text
    code, report = run("doctor")
    assert code == 1
    assert "stray-manifests" in {finding["check"] for finding in report["findings"]}

    code, report = run("doctor", "--fix", "--drain", "1s")

    assert code == 0, report["summary"]
    assert not copy.exists()
    assert MANIFEST.read_text() == text
    put(text)
