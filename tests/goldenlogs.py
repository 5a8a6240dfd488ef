"""The recorded audit logs of tests/golden/logs, unpacked for the tests that read files."""

from __future__ import annotations

import atexit
import gzip
import shutil
import tempfile
from functools import cache
from pathlib import Path

PACKED = Path(__file__).parent / "golden" / "logs"
VERSIONS = ("1.31", "1.36")


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="auditctl-golden-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def mixed_traffic(version: str) -> Path:
    """Return 1200 events that a kube-apiserver of ``version`` wrote at level RequestResponse under mixed traffic."""
    path = _folder() / f"mixed-traffic-{version}.jsonl"
    path.write_bytes(gzip.decompress((PACKED / f"{path.name}.gz").read_bytes()))
    return path


def recorded_logs() -> list[Path]:
    """Return the logs of all recorded versions."""
    return [mixed_traffic(version) for version in VERSIONS]
