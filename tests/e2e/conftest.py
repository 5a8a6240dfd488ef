"""A lab node for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from nodes import QUICK, Node

from auditctl.lab import down, up


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A fresh lab."""
    up(tmp_path / "node", pace=QUICK)
    yield Node(tmp_path / "node")
    down(tmp_path / "node")
