"""What a policy writes on each node and a day: each node over its own time, and added up."""

from __future__ import annotations

from auditctl.log.replay import judge_of
from auditctl.log.tally import CellSums, Tally, TallyKey, TallyNode, TallyUser
from auditctl.operations.log_sources import LoadedTally
from auditctl.operations.policy.replay_nodes import (
    DailyRate,
    nodes_document,
    nodes_table,
    replay_by_node,
    total_rate,
)
from auditctl.policy.load import load

POLICY = load(
    b"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {level: None, verbs: [watch]}\n- {level: Metadata}\n"
).policy


def loaded(name: str, first: str, last: str, gets: int, watches: int) -> LoadedTally:
    tally = Tally(None, [TallyNode(name, first, last, gets + watches, 100 * (gets + watches))])
    for verb, count in (("get", gets), ("watch", watches)):
        key = TallyKey(user=TallyUser("alice"), verb=verb, stage="ResponseComplete", level="Metadata", resource="pods")
        tally.cell(key).absorb(CellSums([count, 100 * count, *[0] * 7]))
    return LoadedTally(f"{name}.tally", tally)


def test_each_node_is_reckoned_over_its_own_time() -> None:
    assert POLICY is not None
    half, whole = "2026-11-21T12:00:00", "2026-11-22T00:00:00"
    nodes = replay_by_node(
        judge_of((POLICY,)),
        [loaded("cp1", "2026-11-21T00:00:00", half, 30, 10), loaded("cp2", "2026-11-21T00:00:00", whole, 50, 50)],
    )

    assert [node.recorded for node in nodes] == [DailyRate(80, 8000), DailyRate(100, 10_000)]
    assert [node.daily for node in nodes] == [DailyRate(60, 6000), DailyRate(50, 5000)]
    document = nodes_document(nodes)
    assert document["predictedPerDay"] == {"events": 110, "bytes": 11_000}
    assert [row["predicted"]["events"] for row in document["nodes"]] == [30, 50]
    assert nodes_table(nodes)[-1] == ("all", 140, 80, 180, "18.0 kB", 110, "11.0 kB")


def test_a_node_without_a_time_has_no_rate_and_no_total_is_made_up() -> None:
    assert POLICY is not None
    same = "2026-11-21T00:00:00"
    nodes = replay_by_node(judge_of((POLICY,)), [loaded("cp1", same, same, 3, 1), loaded("cp2", "", "", 3, 1)])

    assert [node.daily for node in nodes] == [None, None]
    assert nodes_document(nodes)["predictedPerDay"] is None
    assert total_rate([DailyRate(1, 1), None]) is None
    assert total_rate([]) is None
