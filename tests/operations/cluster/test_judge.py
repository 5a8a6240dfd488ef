"""What the evidence of a server means, where the stand-in cluster cannot show it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from auditctl.cluster.servers import mirror_servers
from auditctl.node.apiserver.client import Health, Readiness
from auditctl.node.apiserver.metrics import Counters
from auditctl.operations.cluster import judge, rows
from auditctl.operations.cluster.collect import ClusterEvidence, ServerEvidence
from auditctl.operations.cluster.judge import ClusterDifference, RecordingState, recording

PODS = Path(__file__).parents[2] / "golden/cluster/pods.json"
SERVER = mirror_servers(json.loads(PODS.read_text()))[0]
BEFORE = Counters(100, 0, {}, {"Metadata": 90, "None": 10})
EVIDENCE = ServerEvidence(
    server=SERVER,
    is_endpoint=True,
    health=Health(Readiness.READY),
    has_storage=True,
    audit_id="auditctl-1",
    before=BEFORE,
    after=Counters(101, 0, {}, {"Metadata": 91, "None": 10}),
)


@pytest.mark.parametrize(
    ("after", "state"),
    [
        (Counters(101, 0, {}, {"Metadata": 91}), RecordingState.RECORDING),
        (Counters(101, 0, {"log": 1}, {"Metadata": 91}), RecordingState.NOT_RECORDING),
        (Counters(3, 0, {}, {"Metadata": 3}), RecordingState.UNKNOWN),  # restarted in between
        (Counters(100, 0, {}, {"Metadata": 90, "None": 11}), RecordingState.RECORDING),  # our request is not audited
        (BEFORE, RecordingState.UNKNOWN),
        (Counters(), RecordingState.NOT_RECORDING),  # it evaluates no policy, and the manifest has one
        (None, RecordingState.UNKNOWN),
    ],
)
def test_the_counters_decide(after: Counters | None, state: RecordingState) -> None:
    """Unknown is not success."""
    assert recording(replace(EVIDENCE, after=after)).state is state


def test_an_event_that_was_never_written_is_no_recording() -> None:
    """Since the start, not since our request."""
    nothing = Counters(0, 0, {}, {"None": 5})

    assert recording(replace(EVIDENCE, before=nothing, after=nothing)).state is RecordingState.NOT_RECORDING


def test_a_server_that_cannot_be_reached_from_here_is_not_called_down() -> None:
    """Its kubelet and its endpoint say that it is ready: perhaps a firewall. Without them it is down."""
    silent = replace(
        EVIDENCE,
        health=Health(Readiness.UNREACHABLE),
        health_reason="https://10.77.0.11:6443: no connection: timed out",
        audit_id="",
        before=None,
        after=None,
        has_storage=None,
    )

    def said(one: ServerEvidence) -> list[tuple[str, str]]:
        cluster = ClusterEvidence(server="https://lb:6443", context="", servers=(one,))
        return [
            (found.check, found.severity.value) for found in judge.findings(cluster) if found.severity.value != "info"
        ]

    assert said(silent) == [("unreachable", "warning")]
    assert rows.is_ready(silent) is None
    assert said(replace(silent, is_endpoint=False)) == [("apiserver-ready", "error")]
    assert rows.is_ready(replace(silent, is_endpoint=False)) is False


def test_the_nodes_of_the_smaller_groups_are_the_others() -> None:
    """Of two that differ it cannot be said which is right."""
    assert ClusterDifference("x", {"a": "1", "b": "2", "c": "1"}).others() == {"b"}
    assert ClusterDifference("x", {"a": "1", "b": "2"}).others() == {"a", "b"}
    assert ClusterDifference("x", {"a": "1", "b": "2", "c": "1"}).sentence() == "x is 1 on a, c; 2 on b"
