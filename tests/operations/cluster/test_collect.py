"""What is asked of each API server, with a connection that answers from recorded pages; nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from auditctl.cluster.connection import ServerAddress
from auditctl.node.apiserver.metrics import Counters
from auditctl.node.clock import Clock
from auditctl.operations.cluster.collect import collect_cluster, grown_levels
from auditctl.transport import HttpAnswer

GOLDEN = Path(__file__).parents[2] / "golden/cluster"
OTHERS = "".join(f'apiserver_request_total{{code="{number}"}} 1\n' for number in range(60_000))  # about 2 MB
BEFORE = Counters(0, 0, {}, {"Metadata": 100, "None": 100})


class RecordedConnection:
    """An `ApiConnection` over the recorded answers; it counts the bytes of each page of /metrics."""

    server, context = "https://lb.example:6443", "prod"

    def __init__(self) -> None:
        self.pages: dict[ServerAddress, list[int]] = {}
        self.events = 364

    def get(
        self,
        path: str,
        at: ServerAddress | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float = 5.0,
        limit_bytes: int = 1 << 20,
    ) -> HttpAnswer:
        name = path.partition("?")[0].rpartition("/")[2]
        body = b"ok"
        if name == "metrics":
            assert at is not None
            text = (GOLDEN / "metrics.txt").read_text().replace("event_total 364", f"event_total {self.events}")
            at_line = text.index("kubernetes_build_info")
            body = (text[:at_line] + OTHERS + text[at_line:]).encode()[:limit_bytes]
            self.pages.setdefault(at, []).append(len(body))
        elif name != "readyz":
            self.events += 1
            file = {"kubernetes": "endpointslice"}.get(name, name)
            body = (GOLDEN / f"{file}.json").read_bytes()
        return HttpAnswer(200, "OK", body)


def test_the_page_of_metrics_is_read_whole_once_and_then_as_far_as_the_audit_counters() -> None:
    """A busy server answers with megabytes. What stands behind the counters of auditing is not read a second time."""
    connection = RecordedConnection()

    cluster = collect_cluster(connection, Clock())

    assert len(connection.pages) == 3
    for whole, *others in connection.pages.values():
        assert whole > 2_000_000
        assert others
        assert max(others) < 100_000
    assert all(one.after is not None and one.before is not None for one in cluster.servers)
    assert all(one.after.events > one.before.events for one in cluster.servers if one.after and one.before)
    assert {one.process_started for one in cluster.servers} == {1796086605.35}


@pytest.mark.parametrize(
    ("grown", "expected"),
    [
        ({"Metadata": 10}, {"Metadata"}),
        ({"Metadata": 12, "None": 9}, {"Metadata"}),  # others send, too, but not enough
        ({"Metadata": 10, "None": 30}, {"Metadata", "None"}),  # either is possible
        ({"Request": 10, "Metadata": 3}, {"Request"}),  # counted for the first time
        ({"Metadata": -99}, set()),  # restarted meanwhile
    ],
)
def test_the_growth_of_each_level_says_at_which_ten_requests_can_have_been_audited(
    grown: Mapping[str, int], expected: set[str]
) -> None:
    """The right level is always among them; one alone only where no other fits."""
    levels = {name: BEFORE.levels.get(name, 0) + number for name, number in grown.items()}

    assert grown_levels(BEFORE, BEFORE._replace(levels={**BEFORE.levels, **levels})) == expected
