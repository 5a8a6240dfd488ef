"""What the evidence of a server means, where the stand-in cluster cannot show it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from auditctl.cluster.servers import mirror_servers
from auditctl.compatibility import datetime_of
from auditctl.node.apiserver.client import Health, Readiness
from auditctl.node.apiserver.metrics import Counters
from auditctl.operations.cluster.collect import ClusterEvidence, ServerEvidence
from auditctl.operations.cluster.judge import (
    ClusterDifference,
    RecordingState,
    flags_equal,
    lags,
    policies_equal,
    recording,
)

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


def test_the_nodes_of_the_smaller_groups_are_the_others() -> None:
    """Of two that differ it cannot be said which is right."""
    assert ClusterDifference("x", {"a": "1", "b": "2", "c": "1"}).others() == {"b"}
    assert ClusterDifference("x", {"a": "1", "b": "2"}).others() == {"a", "b"}
    assert ClusterDifference("x", {"a": "1", "b": "2", "c": "1"}).sentence() == "x is 1 on a, c; 2 on b"


def restarted(seconds: float, one: ServerEvidence = EVIDENCE) -> ServerEvidence:
    """The process that answers started so many seconds after the container that the API shows."""
    started = datetime_of(one.server.started).timestamp()
    return replace(one, process_started=started + seconds)


def test_what_the_api_shows_of_a_server_that_was_restarted_since_is_not_taken_for_what_it_runs_with() -> None:
    """The mirror Pod comes some seconds late. The process itself (/flagz) knows its flags, its policy nobody."""
    digest = "a" * 64
    fresh = replace(restarted(0.4), server=replace(SERVER, policy_sha256=digest))
    late = replace(restarted(60), server=replace(SERVER, node="cp9", policy_sha256=digest))
    shown = replace(late, running_flags={**SERVER.audit_flags})

    assert [lags(one) for one in (EVIDENCE, fresh, late)] == [False, False, True]
    answers = []
    for other in (fresh, late, shown):
        cluster = ClusterEvidence(server="https://lb:6443", context="", servers=(fresh, other))
        answers.append((flags_equal(cluster), policies_equal(cluster)))
    assert answers == [(True, True), (None, None), (True, None)]
