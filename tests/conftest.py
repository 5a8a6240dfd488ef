"""What every test may ask for: golden texts, a node in a folder without a server, a clock that never waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auditctl.node.clock import Clock
from auditctl.operations.controlplane import ControlPlane

HERE = Path(__file__).parent
PLAIN = HERE / "golden/kubeadm/v1.36.2/plain.yaml"
POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
OTHER_POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: RequestResponse\n"


class FakeClock(Clock):
    """Sleeping makes time pass, and takes none."""

    def __init__(self) -> None:
        self.passed = 0.0

    def monotonic(self) -> float:
        return self.passed

    def boot(self) -> float:
        return super().boot() + self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += seconds

    def utc(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.passed)


@pytest.fixture
def folder_node(tmp_path: Path) -> ControlPlane:
    """A node that is just files: kubeadm's own manifest under a root folder; nobody serves it."""
    manifests = tmp_path / "root/etc/kubernetes/manifests"
    manifests.mkdir(parents=True)
    (manifests / "kube-apiserver.yaml").write_text(PLAIN.read_text())
    (manifests / "kube-apiserver.yaml").chmod(0o600)
    return ControlPlane(rootfs=tmp_path / "root", clock=FakeClock())


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    """A policy of the user's own, somewhere."""
    path = tmp_path / "p.yaml"
    path.write_text(POLICY)
    return path
