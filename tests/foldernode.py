"""What tests of a node that is just files share: golden texts, policies, a clock that never waits."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from auditctl.compatibility import UTC
from auditctl.node.clock import Clock

HERE = Path(__file__).parent
PLAIN = HERE / "golden/kubeadm/v1.36.2/plain.yaml"
POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
OTHER_POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: RequestResponse\n"
HOOK = (
    "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: k\n  cluster: {{server: 'https://127.0.0.1:1/{0}'}}\n"
    "contexts:\n- name: c\n  context: {{cluster: k, user: u}}\nusers:\n- name: u\n  user: {{token: secret-{0}}}\n"
)


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
