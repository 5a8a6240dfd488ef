"""Every command names what a machine without the manifest probably is, not only doctor."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from auditctl.cli.app import run
from auditctl.operations.controlplane import ControlPlane

COMMANDS = (
    ("enable",),
    ("disable",),
    ("restart",),
    ("kubeadm", "check", "--from", "x"),
    ("log", "tail"),
    ("policy", "suggest"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("mark", "words", "check"),
    [
        ("etc/rancher/rke2", "runs RKE2, which auditctl does not edit", "foreign-distribution"),
        ("etc/k0s", "runs k0s, which auditctl does not edit", "foreign-distribution"),
        ("etc/kubernetes/kubelet.conf", "probably this is a worker node", "manifest-missing"),
        ("", "this is not a kubeadm control plane", "manifest-missing"),
    ],
)
def test_the_first_command_says_what_doctor_knows(
    command: tuple[str, ...], mark: str, words: str, check: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / mark).mkdir(parents=True, exist_ok=True)
    code = run(["auditctl", "--rootfs", str(tmp_path), *command, "-o", "json"])
    report = json.loads(capfd.readouterr().out)
    assert code == 3
    assert words in report["summary"]
    assert report["findings"][0]["check"] == check
    changes = command[0] in ("enable", "disable", "restart")
    assert report["summary"].endswith("; nothing was changed") == changes


def test_a_log_command_names_the_file_that_it_lacks(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["auditctl", "--rootfs", str(tmp_path), "log", "top"]) == 3
    assert "specify the log's file with --log; or specify the node's root with --rootfs" in capfd.readouterr().err


def test_a_rootfs_that_is_not_there_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["auditctl", "--rootfs", str(tmp_path / "nope"), "enable"]) == 3
    assert "there is no such directory" in capfd.readouterr().err


def test_the_headline_of_a_moved_manifest_is_that_nothing_is_recorded(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "etc/kubernetes/manifests").mkdir(parents=True)
    moved = tmp_path / "etc/kubernetes/kube-apiserver.yaml"
    moved.write_text(
        "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - command:\n    - kube-apiserver\n    - --secure-port=23499\n"
    )
    assert run(["auditctl", "--rootfs", str(tmp_path), "status", "-o", "json"]) == 1
    report = json.loads(capfd.readouterr().out)
    assert "is not there" in report["summary"]
    assert report["nextSteps"] == [f"look at it, then: mv {moved} {moved.parent}/manifests/kube-apiserver.yaml"]


def test_a_control_plane_without_its_manifest_is_not_taken_for_a_worker(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("kubelet.conf", "pki/apiserver.crt"):
        (tmp_path / "etc/kubernetes" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "etc/kubernetes" / name).touch()
    assert run(["auditctl", "--rootfs", str(tmp_path), "enable"]) == 3
    said = capfd.readouterr().err
    assert "this is a control plane" in said
    assert "next: kubeadm init phase control-plane apiserver" in said


def test_what_our_last_change_wrote_is_given_back_where_nothing_else_is_left(
    folder_node: ControlPlane, policy_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = str(folder_node.rootfs)
    assert run(["auditctl", "enable", "--policy", str(policy_file), "--no-wait", "--rootfs", root]) == 0
    certificate = folder_node.rootfs / "etc/kubernetes/pki/apiserver.crt"
    certificate.parent.mkdir(exist_ok=True)
    certificate.touch()
    text = folder_node.manifest_path.read_bytes()
    folder_node.manifest_path.unlink()
    capfd.readouterr()
    assert run(["auditctl", "doctor", "--rootfs", root, "-o", "json"]) == 1
    (step,) = json.loads(capfd.readouterr().out)["nextSteps"]
    subprocess.run(shlex.split(step, comments=True), check=True)
    assert folder_node.manifest_path.read_bytes() == text
