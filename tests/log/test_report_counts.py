"""What a report counts: as the tally does, with the latest requests, the agents and the addresses beside it."""

from __future__ import annotations

import pickle
from datetime import datetime
from pathlib import Path

from auditctl.compatibility import UTC
from auditctl.log import sources
from auditctl.log.filters import ALL_EVENTS, LogFilters, Selection
from auditctl.log.readers import reader
from auditctl.log.report_counts import ReportCounting, ReportCounts
from auditctl.log.tally import Tally
from auditctl.log.tally_counting import TallyCounting

LOGS = sorted(map(str, (Path(__file__).parents[1] / "golden/logs").glob("*.jsonl*")))


def counted(paths: list[str], selection: Selection = ALL_EVENTS) -> ReportCounts:
    opened = sources.open_sources(paths)
    counts = ReportCounting(ReportCounts()).scan(sources.pieces(opened), reader(), selection)
    sources.close(opened)
    return counts


def tally_of(paths: list[str]) -> Tally:
    opened = sources.open_sources(paths)
    tally = TallyCounting(Tally(), reader()).scan(sources.pieces(opened))
    sources.close(opened)
    return tally


def test_the_cells_are_those_of_the_tally_but_for_the_bodies() -> None:
    counts, tally = counted(LOGS), tally_of(LOGS)
    places = [0, 1, -1]

    def by_sight(found: Tally) -> dict[object, list[int]]:
        sums: dict[object, list[int]] = {}
        for key, cell in found.cells.items():
            place = (key.user, key.verb, key.stage, key.level, key.resource, key.subresource, key.namespace, key.path)
            sums[place] = [
                a + b for a, b in zip(sums.get(place, [0, 0, 0]), (cell.sums[i] for i in places), strict=True)
            ]
        return sums

    assert by_sight(counts.tally) == by_sight(tally)
    assert counts.selected == tally.account.events == counts.tally.account.events
    assert counts.tally.rates.span_seconds == tally.rates.span_seconds


def test_two_halves_are_the_whole() -> None:
    whole, first, second = counted(LOGS), counted(LOGS[:2]), counted(LOGS[2:])
    first.absorb(pickle.loads(pickle.dumps(second)))

    assert first.values == whole.values
    assert first.requests == whole.requests
    assert first.samples == whole.samples
    assert first.series.parts == whole.series.parts


def test_the_latest_requests_of_each_kind_are_kept() -> None:
    counts = counted(LOGS)

    assert counts.samples
    for samples in counts.samples.values():
        assert len(samples) <= 4
        assert [each.time for each in samples] == sorted(each.time for each in samples)


def test_filters_leave_out_events_but_not_what_was_read() -> None:
    selection = Selection.of(LogFilters(user=("system:*",)), datetime.now(UTC))
    counts, everything = counted(LOGS, selection), counted(LOGS)

    assert 0 < counts.selected < everything.selected
    assert counts.tally.account.events == everything.tally.account.events
    assert {key.user.username.partition(":")[0] for key in counts.tally.cells if not key.user.acts_as} == {"system"}


def test_a_tally_gives_all_but_single_requests_and_clients() -> None:
    of_log, of_tally = counted(LOGS), ReportCounts()
    of_tally.take_tally(tally_of(LOGS))

    assert of_tally.selected == of_log.selected
    assert of_tally.samples == {}
    assert {field for field, _ in of_tally.values} == {"user"}
    assert sum(of_tally.requests.values()) <= sum(of_log.requests.values())


def test_the_query_of_a_url_is_not_kept(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    line = next(line for line in Path(LOGS[-1]).read_bytes().splitlines() if b"ResponseComplete" in line)
    log.write_bytes(line.replace(b'"requestURI":"/', b'"requestURI":"/x?token=s3cr3t&y=/', 1) + b"\n")

    assert b"s3cr3t" in log.read_bytes()
    assert b"s3cr3t" not in pickle.dumps(counted([str(log)]))
