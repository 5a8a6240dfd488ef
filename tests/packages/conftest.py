"""Every package, built once for all workers."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from building import Built, build, source_date


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """What `.ci/build` makes of this clone; the first worker that asks builds, the others wait for it."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder = shared / "packages"
    with (shared / "packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "SHA256SUMS").exists():
            build(Path(__file__).parents[2], folder, SOURCE_DATE_EPOCH=source_date())
    return Built(folder)
