"""Two playbooks at once, and changes without any order: the cluster's Lease keeps them apart, not `serial` alone."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from controlplanes import ControlPlanes
from labcluster import LabCluster, lab_cluster

from auditctl.node.apiserver.process import listener

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]
NAMES = ("a", "b", "c")


def serving(cluster: LabCluster) -> int:
    """How many API servers own their port now."""
    return sum(listener(cluster.port(name)) is not None for name in NAMES)


def test_two_operators_who_start_the_same_playbook_never_have_two_control_planes_down(tmp_path: Path) -> None:
    """Both end well; the second finds each node done, or waits for it."""
    with lab_cluster(tmp_path, NAMES) as cluster:
        planes = ControlPlanes(tmp_path, NAMES)
        planes.write_inventory()
        words = ("--extra-vars", json.dumps({"apiserver_audit_ready_timeout": 30, "apiserver_audit_busy_delay": 1}))
        plays = [planes.start("enable-audit.yml", *words) for _ in range(2)]
        least = len(NAMES)
        while any(play.poll() is None for play in plays):
            least = min(least, serving(cluster))
            time.sleep(0.02)
        ended = [(play.communicate(timeout=60)[0], play.returncode) for play in plays]

        assert [code for _, code in ended] == [0, 0], ended
        assert least == len(NAMES) - 1
        assert cluster.lease() is None
        assert all(b"--audit-policy-file=" in node.manifest.read_bytes() for node in planes.nodes.values())
        assert not any("Traceback" in text for text, _ in ended)
