"""A control plane that joined without the audit files: named by `doctor`, repaired by `enable`, and by nothing silently."""

from __future__ import annotations

import os
import shutil
import signal
import time

import pytest
from nodes import METADATA, Node

from auditctl.node.apiserver.process import listener
from auditctl.operations.controlplane import ControlPlane

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


def leave_as_joined(node: Node) -> None:
    """The manifest of the cluster's record, none of the files behind it, no record of ours, and a server that cannot start."""
    assert node.enable(METADATA).code == 0
    shutil.rmtree(node.policy.parent)
    shutil.rmtree(node.root / "var/lib/auditctl")
    manifest = ControlPlane(rootfs=node.root).read_manifest()[1]
    text = node.manifest.read_text().replace("  name: kube-apiserver\n", "  name: kube-apiserver\n  # joined\n", 1)
    beside = node.manifest.with_name(".joined")
    beside.write_text(text.replace("cpu: 250m", "cpu: 251m"))  # a Pod of another UID
    beside.rename(node.manifest)
    end = time.monotonic() + 60
    log = node.root / "var/log/kubelet.log"
    while listener(manifest.secure_port, manifest) is not None or "hostPath type check failed" not in log.read_text():
        if (process := listener(manifest.secure_port, manifest)) is not None:
            os.kill(process.pid, signal.SIGTERM)
        assert time.monotonic() < end
        time.sleep(0.1)


def test_the_policy_of_the_cluster_named_by_hand_is_all_that_a_joined_node_needs(node: Node) -> None:
    leave_as_joined(node)
    looked = node.run("doctor")
    assert looked.code == 1
    first = looked.report["findings"][0]
    assert (first["check"], "/etc/kubernetes/audit/policy.yaml is not a file" in first["message"]) == (
        "volume-type",
        True,
    )
    assert "enable --policy FILE" in looked.report["nextSteps"][0]

    assert "enable --policy FILE" in node.run("status").report["nextSteps"][0]
    unnamed = node.run("enable")
    assert (unnamed.code, unnamed.report["findings"][0]["check"]) == (3, "policy-missing")

    repaired = node.enable(METADATA)

    assert repaired.code == 0, repaired.stderr
    assert any("is not there; this change installs it" in one["message"] for one in repaired.report["findings"])
    assert node.is_ready()
    assert node.run("doctor").code == 0
