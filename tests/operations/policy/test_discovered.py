"""What the cluster serves is asked of the cluster: of this node's API server, elsewhere of kubectl."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditctl.cli.app import run
from auditctl.lab import down, up
from auditctl.lab.node.layout import Timing

QUICK = Timing(grace=0.3, listing=0.4, backoff=0.3, backoff_cap=1.0, replace=1.0, start=0.1)
IMITATION = Path(__file__).parents[2] / "offnode" / "imitation"
POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n  resources: [{group: %s, resources: [%s]}]\n"
TABLE = """\
NAME      SHORTNAMES   APIVERSION       NAMESPACED   KIND
pods      po           v1               true         Pod
widgets   wi           example.org/v1   true         Widget
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("lab") / "node"
    up(root, pace=QUICK)
    yield root
    down(root)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "p.yaml"
    path.write_text(POLICY % ("example.org", "widgets"))
    return path


def test_the_api_server_of_the_node_is_asked(lab: Path, policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It serves deployments, and no widgets."""
    served = policy.with_name("served.yaml")
    served.write_text(POLICY % ("apps", "deployments"))
    only = ["--strict", "--only", "unknown-resource"]
    words = ["auditctl", "--rootfs", str(lab), "policy", "validate", "--discovery", "live", *only]

    assert run([*words, str(served)]) == 0
    assert run([*words, str(policy)]) == 1

    assert "serves no API group 'example.org'" in capsys.readouterr().out


def test_a_request_is_resolved_by_what_the_node_serves(
    lab: Path, policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["auditctl", "--rootfs", str(lab), "policy", "explain", str(policy), "--discovery", "live"]

    assert run([*words, "get po"]) == 0
    assert run([*words, "get widgets"]) == 2

    assert "has a resource 'widgets'" in capsys.readouterr().err


def test_a_server_that_does_not_answer_is_told_with_what_to_do(
    tmp_path: Path, policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "node"
    manifest = root / "etc/kubernetes/manifests/kube-apiserver.yaml"
    manifest.parent.mkdir(parents=True)
    golden = Path(__file__).parents[2] / "golden/kubeadm/v1.36.2/plain.yaml"
    manifest.write_text(golden.read_text().replace("192.0.2.10", "127.0.0.1").replace("6443", "1"))

    code = run(["auditctl", "--rootfs", str(root), "policy", "validate", "--discovery", "live", str(policy)])

    assert code == 3
    assert "kubectl api-resources -o wide > FILE" in capsys.readouterr().err


def on_a_laptop(folder: Path, *words: str, kubectl: str) -> subprocess.CompletedProcess[str]:
    """Run on another system than Linux, with this script as the kubectl of PATH."""
    program = folder / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{kubectl}\n")
    program.chmod(0o755)
    imitation = {"PYTHONPATH": str(IMITATION), "AUDITCTL_TEST_SYSTEM": "macos", "AUDITCTL_ROOTFS": str(folder)}
    path = f"{program.parent}:{os.environ['PATH']}"
    command = [sys.executable, "-m", "auditctl", *words]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **imitation, "PATH": path})


def test_elsewhere_kubectl_is_asked(tmp_path: Path, policy: Path) -> None:
    (tmp_path / "table").write_text(TABLE)
    answers = f'[ "$*" = "api-resources -o wide --kubeconfig {tmp_path}/k" ] && cat {tmp_path}/table'
    words = ("policy", "explain", str(policy), "get wi", "--discovery", "live", "--kubeconfig", f"{tmp_path}/k")

    ran = on_a_laptop(tmp_path, *words, kubectl=answers)

    assert ran.returncode == 0, ran.stderr
    assert "level Metadata, by rules[0]" in ran.stdout


def test_the_expectations_of_a_test_know_the_cluster_too(tmp_path: Path, policy: Path) -> None:
    (tmp_path / "table").write_text(TABLE)
    expect = tmp_path / "expect.yaml"
    expect.write_text("- get widgets -> Metadata\n- get pods -> None\n")

    ran = on_a_laptop(
        tmp_path, "policy", "test", str(policy), str(expect), "--discovery", "live", kubectl=f"cat {tmp_path}/table"
    )

    assert ran.returncode == 0, ran.stderr
    assert "2 of 2" in ran.stdout


def test_what_kubectl_says_is_repeated(tmp_path: Path, policy: Path) -> None:
    ran = on_a_laptop(
        tmp_path, "policy", "validate", str(policy), "--discovery", "live", kubectl="echo no route to host >&2; exit 1"
    )

    assert ran.returncode == 3
    assert "kubectl api-resources: no route to host" in ran.stderr
