"""Tallies add up, whatever the order; limits fold what is beyond them and lose no event."""

from __future__ import annotations

import pytest

from auditctl.log.tally import CellSums, Tally, TallyKey, TallySeries, TallyUser, kept_name, kind_of_user, shared_names


def key(name: str = "", user: str = "alice", path: str = "") -> TallyKey:
    resource = "" if path else "secrets"
    return TallyKey(
        user=TallyUser(user),
        verb="get",
        stage="ResponseComplete",
        level="Metadata",
        resource=resource,
        name=name,
        path=path,
    )


def test_cells_add_up_and_keep_the_widest_span() -> None:
    one = CellSums([1] * 9, "2026-11-21T20:29:05", "2026-11-21T20:29:06")
    one.absorb(CellSums([2] * 9, "2026-11-21T20:28:00", "2026-11-21T20:29:05"))

    assert one.sums == [3] * 9
    assert (one.first, one.last) == ("2026-11-21T20:28:00", "2026-11-21T20:29:06")
    assert (one.volume.events, one.refused) == (3, 3)


def test_only_names_that_both_tallies_keep_are_told_apart() -> None:
    one, other = Tally(None), Tally(frozenset(["db"]))
    one.cell(key("db")).absorb(CellSums([1] * 9))
    one.cell(key("web")).absorb(CellSums([1] * 9))
    other.cell(key("db")).absorb(CellSums([1] * 9))
    one.absorb(other)

    assert one.names == frozenset(["db"])
    assert {each.name: cell.sums[0] for each, cell in one.cells.items()} == {"db": 2, "-": 1}


def test_names_are_kept_or_are_some_name_or_none() -> None:
    assert [kept_name(name, frozenset(["db"])) for name in ("db", "web", "")] == ["db", "-", ""]
    assert kept_name("web", None) == "web"
    assert shared_names(None, None) is None
    assert shared_names(frozenset("ab"), frozenset("bc")) == frozenset("b")


def test_what_is_beyond_the_cells_is_one_cell_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditctl.log.tally.MOST_CELLS", 3)
    tally = Tally(None)
    for number in range(10):
        tally.cell(key(f"s{number}")).sums[0] += 1

    assert len(tally.cells) == 4
    assert tally.folded_events == 7


def test_a_finer_series_is_made_coarser_before_it_is_added() -> None:
    fine, coarse = TallySeries(60), TallySeries(120)
    fine.count(60, "Metadata", "people", 1, 10)
    coarse.count(121, "Metadata", "people", 1, 10)
    fine.absorb(coarse)

    assert fine.part_seconds == 120
    assert fine.parts == {(0, "Metadata", "people"): [1, 10], (1, "Metadata", "people"): [1, 10]}


def test_a_long_series_gets_longer_parts_and_loses_no_event() -> None:
    series = TallySeries()
    for minute in range(3000):
        series.count(60 * minute, "Metadata", "nodes", 1, 10)
    series.fit()

    assert len(series.parts) <= 720
    assert sum(events for events, _ in series.parts.values()) == 3000


@pytest.mark.parametrize(
    ("username", "kind"),
    [
        ("alice", "people"),
        ("kubernetes-admin", "people"),
        ("system:node:a", "nodes"),
        ("system:serviceaccount:kube-system:x", "controllers"),
        ("system:kube-scheduler", "components"),
        ("system:anonymous", "anonymous"),
        ("", "anonymous"),
    ],
)
def test_kinds_of_users(username: str, kind: str) -> None:
    assert kind_of_user(username) == kind
