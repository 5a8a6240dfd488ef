"""Where faults are laid: a folder in memory if there is one (an fsync costs nothing there), else pytest's own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from faultnode import JOURNEYS, TALLY, Journey, travelled

_MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def lasting_ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder for what is only copied."""
    yield from _folder(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Path]:
    """An empty folder."""
    yield from _folder(tmp_path)


def _folder(otherwise: Path) -> Iterator[Path]:
    if not os.access(_MEMORY, os.W_OK):
        yield otherwise
        return
    folder = Path(tempfile.mkdtemp(prefix="auditctl-faults-", dir=_MEMORY))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", params=JOURNEYS)
def journey(request: pytest.FixtureRequest, lasting_ground: Path) -> Journey:
    """A command, the node before it, and the node after it where nothing goes wrong."""
    return travelled(request.param, lasting_ground)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many points were tried."""
    for what, number in sorted(TALLY.items()):
        terminalreporter.write_line(f"faults: {number} {what}")
