"""A filtered log against what a real kube-apiserver 1.36.2 wrote of the same requests under that policy, byte for byte.

The requests were sent once to a server that records everything, and once to a server with each policy; their audit IDs
were set by the client. What differs between two runs by nature (times, UIDs, versions, generated names) is blanked.
"""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from auditctl.log import events_msgspec
from auditctl.log.damage import ReadStatistics
from auditctl.log.policy_filter import FilterCounts, PolicyFilter
from auditctl.log.reading import event_block
from auditctl.policy.load import load

GOLDEN = Path(__file__).parents[1] / "golden" / "logs"
BY_NATURE = (
    (rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", b"TIME"),
    (rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", b"UID"),
    (rb'("resourceVersion":)"\d+"', rb'\1"RV"'),
    (rb"g-[a-z0-9]{5}", b"g-NAME"),
)


def recorded(name: str) -> bytes:
    return gzip.decompress((GOLDEN / f"recorded-{name}-1.36.jsonl.gz").read_bytes())


def blanked(line: bytes) -> bytes:
    for pattern, blank in BY_NATURE:
        line = re.sub(pattern, blank, line)
    return line


def events(log: bytes) -> dict[tuple[str, str], bytes]:
    rows = {}
    for line in log.splitlines():
        event = json.loads(line)
        rows[event["auditID"], event["stage"]] = blanked(line)
    return rows


@pytest.mark.parametrize("name", ["managed", "baseline", "forensic"])
def test_the_filtered_log_is_what_the_server_wrote(name: str) -> None:
    policy = load((GOLDEN / f"recorded-{name}.policy.yaml").read_bytes()).policy
    assert policy is not None
    cutting = PolicyFilter(policy, events_msgspec.READER)
    block = event_block(recorded("all"), 0, "log", events_msgspec.READER, ReadStatistics())
    filtered = b"".join(line + b"\n" for line in cutting.lines(block, FilterCounts()))

    assert events(filtered) == events(recorded(name))
    assert len(events(filtered)) > 50
