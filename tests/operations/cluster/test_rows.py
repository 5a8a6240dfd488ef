"""The table and the JSON object of a cluster."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from auditctl.cluster.servers import mirror_servers
from auditctl.compatibility import datetime_of
from auditctl.node.apiserver.client import Health, Readiness
from auditctl.node.apiserver.metrics import Counters
from auditctl.operations.cluster.collect import ClusterEvidence, ServerEvidence
from auditctl.operations.cluster.rows import details, headline, lines

SERVERS = mirror_servers(json.loads((Path(__file__).parents[2] / "golden/cluster/pods.json").read_text()))
COUNTERS = Counters(100, 0, {}, {"Metadata": 90})
GOOD = tuple(
    ServerEvidence(
        server=replace(server, policy_sha256="a" * 64),
        is_endpoint=True,
        health=Health(Readiness.READY),
        has_storage=True,
        audit_id="auditctl-1",
        before=COUNTERS,
        after=COUNTERS._replace(events=101),
    )
    for server in SERVERS
)
NOW = datetime_of(SERVERS[0].started) + timedelta(minutes=5)


def look(*servers: ServerEvidence) -> ClusterEvidence:
    return ClusterEvidence(server="https://lb:6443", context="prod", servers=servers, lone_nodes=())


def test_a_row_has_the_state_of_one_server() -> None:
    """KEPT is not known without the ConfigMap."""
    head, first, *_ = lines(look(*GOOD), NOW)

    assert dict(zip(head.split(), first.split(), strict=False)) == {
        "NODE": "cp1",
        "READY": "yes",
        "RECORDING": "yes",
        "FLAGS": "equal",
        "POLICY": "a" * 12,
        "EVENTS": "101",
        "LOST": "0",
        "KEPT": "?",
        "VERSION": "v1.36.2",
        "UP": "5",
    }


@pytest.mark.parametrize(
    ("fields", "ready", "recording"),
    [
        ({}, "yes", "yes"),
        ({"has_storage": False, "after": COUNTERS}, "no etcd", "?"),
        ({"health": Health(Readiness.NOT_READY), "audit_id": ""}, "NO", "?"),
        ({"health": Health(Readiness.UNREACHABLE), "audit_id": ""}, "API: yes", "?"),
        ({"after": COUNTERS._replace(errors={"log": 3})}, "yes", "NO"),
    ],
)
def test_a_cell_claims_no_more_than_is_known(fields: dict[str, object], ready: str, recording: str) -> None:
    """Ready by itself, or by what the API says of it; recording by its own counters."""
    one = replace(GOOD[0], **fields)

    row = list(lines(look(one, *GOOD[1:]), NOW))[1]

    assert [cell.strip() for cell in row.split("  ") if cell][1:3] == [ready, recording]


def test_the_headline_and_the_object_agree() -> None:
    """One of three is down, and a node without a server counts."""
    down = replace(GOOD[1], health=Health(Readiness.NOT_READY), audit_id="")
    cluster = replace(look(GOOD[0], down), lone_nodes=("cp3",))

    assert headline(cluster, []) == (
        "1 of 3 API servers is ready, 1 of 3 record (not known of 1), their audit flags are equal, their policies are equal"
    )
    document = details(cluster)
    assert (document["apiServers"], document["ready"], document["nodesWithoutServer"]) == (3, 1, ["cp3"])
    assert [row["ready"] for row in document["servers"]] == [True, False]
