"""Nodes for the tests of the lab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from labroom import EVERYTHING, QUICK, Node, eventually, with_auditing

from auditctl.lab import down, up


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A lab of its own for one test."""
    yield Node(up(tmp_path / "node", pace=QUICK))
    down(tmp_path / "node")


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One lab for a module, with everything recorded."""
    folder = tmp_path_factory.mktemp("lab") / "node"
    node = Node(up(folder, pace=QUICK))
    policy = node.layout.host("/etc/kubernetes/audit/policy.yaml")
    policy.parent.mkdir()
    policy.write_text(EVERYTHING)
    node.write_manifest(with_auditing(node.manifest.read_text()))
    eventually(lambda: node.serves() and node.events())
    yield node
    down(folder)
