"""The files of a control plane brought to a machine before it joins; its API server then starts with the joined manifest."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from controlplanes import METADATA, ControlPlanes, brought_up

from auditctl.node.apiserver.process import listener
from auditctl.operations.controlplane import ControlPlane

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def join(planes: ControlPlanes, new: str, of: str) -> None:
    """Write the manifest as `kubeadm join` does: the cluster's flags and volumes, the machine's own port."""
    ports = {name: ControlPlane(rootfs=node.root).read_manifest()[1].secure_port for name, node in planes.nodes.items()}
    text = planes.nodes[of].manifest.read_text().replace(str(ports[of]), str(ports[new]))
    beside = planes.nodes[new].manifest.with_name(".joined")
    beside.write_text(text)
    beside.rename(planes.nodes[new].manifest)


def until_it_audits(planes: ControlPlanes, name: str) -> None:
    manifest = ControlPlane(rootfs=planes.nodes[name].root).read_manifest()[1]
    end = time.monotonic() + 60
    while True:
        process = listener(manifest.secure_port, manifest)
        if process is not None and process.runs(manifest.command) and planes.nodes[name].serves:
            return
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_machine_that_was_prepared_starts_with_the_manifest_of_its_join(tmp_path: Path) -> None:
    with brought_up(tmp_path, ("a", "b")) as planes:
        policy = tmp_path / "policy.yaml"
        policy.write_text(METADATA)
        b = planes.nodes["b"]
        refused = planes.play("prepare-control-plane.yml", joining="b")
        assert (refused.code, "a runs without an audit policy" in refused.last_words) == (2, True), refused.text
        planes.nodes["a"].auditctl("enable", "--policy", str(policy))

        checked = planes.play("prepare-control-plane.yml", "--check", joining="b")
        assert (checked.code, b.policy.exists()) == (0, False), checked.text
        prepared = planes.play("prepare-control-plane.yml", joining="b")

        assert prepared.code == 0, prepared.text
        assert b.policy.read_text() == METADATA
        assert (b.policy.stat().st_mode & 0o777, b.policy.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert (b.root / "var/log/kubernetes/audit").is_dir()
        join(planes, "b", of="a")
        until_it_audits(planes, "b")
        b.auditctl("verify")
        again = planes.play("prepare-control-plane.yml", joining="b")
        assert (again.code, "changed=0" in again.text) == (0, True), again.text
