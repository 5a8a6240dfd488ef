"""What a policy would write on each node, and a day in all: of tallies, which know their nodes and times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from auditctl.compatibility import datetime_of
from auditctl.log.aggregate import PolicyMatcher
from auditctl.log.forecast import DAY_SECONDS
from auditctl.log.replay import Sum, replay
from auditctl.log.tally import TallyNode
from auditctl.log.tally_views import cell_counts
from auditctl.operations.answer import amount
from auditctl.operations.log_sources import LoadedTally


class DailyRate(NamedTuple):
    """Events and bytes a day."""

    events: float
    bytes: float


class NodeReplay(NamedTuple):
    """A tally's share of a replay. ``recorded`` and ``daily`` (what the policy writes) are a day; None: too short a time."""

    name: str
    before: Sum
    after: Sum
    recorded: DailyRate | None
    daily: DailyRate | None


def replay_by_node(judge: PolicyMatcher, tallies: Sequence[LoadedTally]) -> list[NodeReplay]:
    """Return the replay of each tally, in the order named."""
    return [_of_tally(judge, each) for each in tallies]


def _of_tally(judge: PolicyMatcher, loaded: LoadedTally) -> NodeReplay:
    answer = replay(judge, cell_counts(judge, [loaded.tally]))
    before, after = answer.recorded, answer.predicted
    recorded = _rate(loaded.tally.nodes)
    daily = None
    if recorded is not None and before.events and before.bytes:
        events = recorded.events * after.events / before.events
        daily = DailyRate(events, recorded.bytes * after.bytes / before.bytes)
    name = ", ".join(node.name for node in loaded.tally.nodes) or loaded.name
    return NodeReplay(name, before, after, recorded, daily)


def _rate(nodes: Iterable[TallyNode]) -> DailyRate | None:
    """Return what the nodes write a day, added up: each over its own time."""
    events = size = 0.0
    for node in nodes:
        try:
            seconds = (datetime_of(node.last) - datetime_of(node.first)).total_seconds()
        except (ValueError, TypeError):
            return None
        if seconds <= 0:
            return None
        events += node.events * DAY_SECONDS / seconds
        size += node.bytes * DAY_SECONDS / seconds
    return DailyRate(events, size) if size else None


def total_rate(rates: Iterable[DailyRate | None]) -> DailyRate | None:
    """Return the sum; None where one is not known."""
    known = list(rates)
    if not known or None in known:
        return None
    return DailyRate(sum(each.events for each in known if each), sum(each.bytes for each in known if each))


def nodes_table(nodes: Sequence[NodeReplay]) -> list[tuple[object, ...]]:
    """Return the rows of the table for people: each node, and all of them."""
    rows = [(each.name, each.before.events, each.after.events, each.recorded, each.daily) for each in nodes]
    if len(nodes) > 1:
        totals = (sum(each.before.events for each in nodes), sum(each.after.events for each in nodes))
        rates = (total_rate(each.recorded for each in nodes), total_rate(each.daily for each in nodes))
        rows.append(("all", *totals, *rates))
    return [
        ("NODE", "EVENTS", "EVENTS THEN", "A DAY", "BYTES A DAY", "A DAY THEN", "BYTES A DAY THEN"),
        *((name, before, after, *_cells(recorded), *_cells(daily)) for name, before, after, recorded, daily in rows),
    ]


def _cells(rate: DailyRate | None) -> tuple[object, object]:
    return ("-", "-") if rate is None else (round(rate.events), amount(rate.bytes))


def nodes_document(nodes: Sequence[NodeReplay]) -> dict[str, Any]:
    """Return the keys for ``-o json``."""
    rows = [
        {
            "node": each.name,
            "recorded": _sum_row(each.before),
            "predicted": _sum_row(each.after),
            "recordedPerDay": _rate_row(each.recorded),
            "predictedPerDay": _rate_row(each.daily),
        }
        for each in nodes
    ]
    recorded, daily = total_rate(each.recorded for each in nodes), total_rate(each.daily for each in nodes)
    return {"nodes": rows, "recordedPerDay": _rate_row(recorded), "predictedPerDay": _rate_row(daily)}


def _rate_row(rate: DailyRate | None) -> dict[str, int] | None:
    return None if rate is None else {"events": round(rate.events), "bytes": round(rate.bytes)}


def _sum_row(total: Sum) -> dict[str, int]:
    return {"events": total.events, "bytes": total.bytes, "estimatedBytes": total.estimated_bytes}
