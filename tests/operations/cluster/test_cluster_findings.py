"""What is said of a cluster, where the stand-in cluster cannot show it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from auditctl.cluster.servers import mirror_servers
from auditctl.compatibility import UTC, datetime_of
from auditctl.node.apiserver.client import Health, Readiness
from auditctl.node.apiserver.metrics import Counters
from auditctl.operations.cluster import rows
from auditctl.operations.cluster.cluster_findings import errors_of, findings
from auditctl.operations.cluster.collect import ClusterEvidence, ServerEvidence

PODS = Path(__file__).parents[2] / "golden/cluster/pods.json"
SERVERS = mirror_servers(json.loads(PODS.read_text()))
SILENT = tuple(
    ServerEvidence(
        server=server,
        is_endpoint=True,
        health=Health(Readiness.UNREACHABLE),
        health_reason=f"{server.address}: no connection: timed out",
    )
    for server in SERVERS
)
NOW = datetime(2026, 12, 1, 2, 0, tzinfo=UTC)


def look(*servers: ServerEvidence) -> ClusterEvidence:
    return ClusterEvidence(server="https://lb:6443", context="", servers=servers)


def said(*servers: ServerEvidence) -> list[tuple[str, str]]:
    return [(one.check, one.message) for one in errors_of(list(findings(look(*servers))))]


def test_servers_that_cannot_be_reached_from_here_are_not_called_down() -> None:
    """Kubelets and endpoints say that they are ready: a laptop without a route. One sentence for all: what is known, what not."""
    ((check, text),) = said(*SILENT)

    assert check == "unreachable"
    assert text.startswith(f"cp1, cp2, cp3: no connection from here ({SERVERS[0].address}: no connection: timed out). ")
    assert "flags and policy are those that https://lb:6443 shows" in text
    assert "whether they record, how many events they lost and what their processes run with is not known" in text
    assert {rows.is_ready(one) for one in SILENT} == {None}
    _, *table = [line.split("  ") for line in rows.lines(look(*SILENT), NOW)]
    assert [row[1].strip() for row in table] == ["API: yes"] * 3
    assert rows.headline(look(*SILENT), []) == (
        "0 of 3 API servers are ready (3 more by what the API says; no connection from here), 0 of 3 record "
        "(not known of 3), their audit flags are equal, whether their policies are equal is not known"
    )


def test_a_silent_server_of_which_the_api_says_that_it_is_gone_is_down() -> None:
    """It is not among the endpoints, or its kubelet has seen it end."""
    for gone in (
        replace(SILENT[1], is_endpoint=False),
        replace(SILENT[1], server=replace(SERVERS[1], is_ready=False)),
    ):
        assert [check for check, _ in said(SILENT[0], gone, SILENT[2])] == ["unreachable", "apiserver-ready"]
        assert rows.is_ready(gone) is False


def test_a_pod_of_before_is_named_and_its_cells_are_not_known() -> None:
    """Said to be looked at again, as a warning: not all is known to be well."""
    counters = Counters(100, 0, {}, {"Metadata": 90})
    late = ServerEvidence(
        server=replace(SERVERS[0], policy_sha256="a" * 64),
        is_endpoint=True,
        health=Health(Readiness.READY),
        has_storage=True,
        audit_id="auditctl-1",
        before=counters,
        after=counters._replace(events=101),
        process_started=datetime_of(SERVERS[0].started).timestamp() + 30,
    )

    assert said(late) == [
        (
            "mirror-lag",
            "cp1 was restarted, and the API still shows its Pod of before: its policy (and its flags) is not known yet",
        )
    ]
    cells = list(rows.lines(look(late), NOW))[1].split()
    assert cells[3:5] == ["?", "?"]
