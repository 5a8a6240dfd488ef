"""Real ansible-playbook over three lab nodes of this machine: local connections, no root, one ``--rootfs`` a host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from controlplanes import ControlPlanes, brought_up


@pytest.fixture
def planes(tmp_path: Path) -> Iterator[ControlPlanes]:
    """Three fresh control planes."""
    with brought_up(tmp_path) as found:
        yield found
