"""The tables and columns of a report add up to what was counted."""

from __future__ import annotations

import pytest

from auditctl.log.axes import NICE_SECONDS
from auditctl.log.report_counts import Presence, ReportCounts, SampleKey, SampleRequest
from auditctl.log.report_view import heat_map, newcomers, refused_rows, sensitive_rows, timeline
from auditctl.log.tally import TallyKey, TallySeries, TallyUser

ALICE, NODE = TallyUser("alice", ("dev",)), TallyUser("system:node:a")


def sample(time: str, code: int = 200) -> SampleRequest:
    return SampleRequest(
        time=time, code=code, namespace="ci", name="db", uri="/", source="10.0.0.7", agent="kubectl", audit_id="1"
    )


def key(user: TallyUser = ALICE, verb: str = "get", resource: str = "secrets", subresource: str = "") -> TallyKey:
    return TallyKey(
        user=user, verb=verb, stage="ResponseComplete", level="Metadata", resource=resource, subresource=subresource
    )


def counts_of(*kinds: tuple[TallyKey, int, int]) -> ReportCounts:
    counts = ReportCounts()
    for each, count, refused in kinds:
        cell = counts.tally.cell(each)
        cell.sums[0], cell.sums[-1] = count, refused
        cell.span("2026-11-21T20:29:05", "2026-11-21T20:30:05")
        counts.requests[each] = count
    return counts


@pytest.mark.parametrize("span", [1, 90, 1000, 86_400, 40 * 86_400])
def test_columns_have_no_gaps_and_lose_no_event(span: int) -> None:
    series = TallySeries(1)
    for second in range(0, span, max(span // 500, 1)):
        series.count(1_795_292_995 + second, "Metadata", "people", 2, 10)
    line = timeline(series)

    assert len(line.columns) <= 98
    assert line.seconds in NICE_SECONDS
    assert sum(column.levels.get("Metadata", 0) for column in line.columns) == sum(n for n, _ in series.parts.values())
    begins = [column.begins for column in line.columns]
    assert begins == list(range(begins[0], begins[-1] + 1, line.seconds))


def test_a_log_without_times_has_no_columns() -> None:
    assert timeline(TallySeries()).columns == []


def test_the_heat_map_has_the_most_frequent_first_and_says_what_is_left_out() -> None:
    kinds = [(key(TallyUser(f"u{n:02}"), resource=f"r{n:02}"), 100 - n, 0) for n in range(30)]
    heat = heat_map(counts_of(*kinds))

    assert (len(heat.users), len(heat.targets), heat.left_out) == (24, 16, (6, 14))
    assert heat.users[0] == TallyUser("u00")
    first = heat.cells[0][0]
    assert first is not None
    assert (first.count, first.verbs) == (100, (("get", 100),))
    assert heat.cells[0][1] is None


def test_a_cell_has_its_requests_latest_first() -> None:
    counts = counts_of((key(), 3, 1), (key(verb="list"), 2, 0))
    counts.add_samples(
        SampleKey(ALICE, "get", "secrets"), [sample("2026-11-21T20:29:05"), sample("2026-11-21T20:29:07")]
    )
    counts.add_samples(SampleKey(ALICE, "list", "secrets"), [sample("2026-11-21T20:29:06")])
    cell = heat_map(counts).cells[0][0]

    assert cell is not None
    assert (cell.count, cell.refused, cell.verbs) == (5, 1, (("get", 3), ("list", 2)))
    assert [(verb, each.time[-2:]) for verb, each in cell.requests] == [("get", "07"), ("list", "06"), ("get", "05")]


def test_refused_requests_show_only_refused_ones() -> None:
    counts = counts_of((key(), 3, 2), (key(NODE), 5, 0))
    counts.add_samples(SampleKey(ALICE, "get", "secrets"), [sample("1", 200), sample("2", 403)])
    (row,) = refused_rows(counts)

    assert (row.user, row.count, row.sensitive) == (ALICE, 2, "secrets")
    assert [each.code for each in row.requests] == [403]


def test_sensitive_reads_are_of_people_first_and_no_writes() -> None:
    counts = counts_of(
        (key(NODE), 9, 0),
        (key(), 1, 0),
        (key(verb="delete"), 7, 0),
        (key(verb="create", resource="pods", subresource="exec"), 2, 0),
        (key(resource="configmaps"), 50, 0),
    )

    assert [(row.user.username, row.verb, row.target) for row in sensitive_rows(counts)] == [
        ("alice", "create", "pods/exec"),
        ("alice", "get", "secrets"),
        ("system:node:a", "get", "secrets"),
    ]


def test_those_who_came_last_are_on_top() -> None:
    counts = ReportCounts()
    counts.add_value(("user", "old"), Presence(3, "2026-11-21T20:29:05", "2026-11-21T20:30:05"))
    counts.add_value(("user", "new"), Presence(1, "2026-11-21T20:30:00", "2026-11-21T20:30:00"))
    counts.add_value(("user", "new"), Presence(1, "2026-11-21T20:29:59", "2026-11-21T20:29:59"))

    assert [(row.value, row.presence.events) for row in newcomers(counts)["user"]] == [("new", 2), ("old", 3)]
    assert set(newcomers(counts)) == {"user"}
