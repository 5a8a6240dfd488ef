"""The counts of a report as the tables and charts that the page shows; no word of HTML in here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from auditctl.log.axes import NICE_SECONDS
from auditctl.log.report_counts import CLIENT_FIELDS, Presence, ReportCounts, SampleKey, SampleRequest, target_of
from auditctl.log.sensitive import kind_of
from auditctl.log.tally import CellSums, TallyKey, TallySeries, TallyUser, kind_of_user

LEVELS = ("Metadata", "Request", "RequestResponse", "None")
Kind = TypeVar("Kind")
USER_KINDS = ("people", "controllers", "nodes", "components", "anonymous")
_MOST_COLUMNS = 96
_MOST_USERS, _MOST_TARGETS, _MOST_ROWS, _MOST_REQUESTS = 24, 16, 60, 12
_READS = frozenset({"get", "list", "watch"})
_WAYS_IN = "ways into containers"


class Column(NamedTuple):
    """A part of the time: when it begins (seconds since 1970), and events by level and by kind of user."""

    begins: int
    levels: dict[str, int]
    kinds: dict[str, int]


class Timeline(NamedTuple):
    """All columns, without gaps; each is so many seconds."""

    seconds: int
    columns: list[Column]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """Requests of one user, with one verb, on one target; ``requests`` are single ones of them, latest first."""

    user: TallyUser
    verb: str
    target: str
    sensitive: str
    count: int
    first: str
    last: str
    requests: tuple[SampleRequest, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatCell:
    """What one user did with one target: requests, refused ones, verbs, and single requests."""

    count: int
    refused: int
    verbs: tuple[tuple[str, int], ...]
    requests: tuple[tuple[str, SampleRequest], ...]


class HeatMap(NamedTuple):
    """Users down, targets across; a missing cell is None. ``left_out`` are users and targets that are not drawn."""

    users: list[TallyUser]
    targets: list[str]
    cells: list[list[HeatCell | None]]
    left_out: tuple[int, int]


class Newcomer(NamedTuple):
    """A value, and since when it is there."""

    value: str
    presence: Presence


def timeline(series: TallySeries) -> Timeline:
    """Return the events over time, in at most some hundred columns of a length that people count in."""
    if not series.parts:
        return Timeline(1, [])
    parts = [part for part, _, _ in series.parts]
    first, last = min(parts) * series.part_seconds, (max(parts) + 1) * series.part_seconds
    fitting = (each for each in NICE_SECONDS if (last - first) / each <= _MOST_COLUMNS and each >= series.part_seconds)
    seconds = next(fitting, max((last - first) // _MOST_COLUMNS + 1, 1))
    begin = first // seconds
    columns = [Column(number * seconds, {}, {}) for number in range(begin, (last - 1) // seconds + 1)]
    for (part, level, kind), (events, _) in series.parts.items():
        column = columns[part * series.part_seconds // seconds - begin]
        column.levels[level] = column.levels.get(level, 0) + events
        column.kinds[kind] = column.kinds.get(kind, 0) + events
    return Timeline(seconds, columns)


def heat_map(counts: ReportCounts) -> HeatMap:
    """Return who did what: the users and targets with most requests."""
    users: Counter[TallyUser] = Counter()
    targets: Counter[str] = Counter()
    cells: dict[tuple[TallyUser, str], Counter[str]] = {}
    for key, count in counts.requests.items():
        target = target_of(key)
        users[key.user] += count
        targets[target] += count
        cells.setdefault((key.user, target), Counter())[key.verb] += count
    refused: Counter[tuple[TallyUser, str]] = Counter()
    for key, cell in counts.tally.cells.items():
        refused[key.user, target_of(key)] += cell.refused
    rows, columns = _most(users, _MOST_USERS), _most(targets, _MOST_TARGETS)
    drawn = [[_heat(counts, (user, target), cells, refused[user, target]) for target in columns] for user in rows]
    return HeatMap(rows, columns, drawn, (len(users) - len(rows), len(targets) - len(columns)))


def _most(counter: Counter[Kind], most: int) -> list[Kind]:
    return [each for each, _ in sorted(counter.items(), key=lambda item: (-item[1], str(item[0])))[:most]]


def _heat(
    counts: ReportCounts,
    place: tuple[TallyUser, str],
    cells: dict[tuple[TallyUser, str], Counter[str]],
    refused: int,
) -> HeatCell | None:
    verbs = cells.get(place)
    if verbs is None:
        return None
    user, target = place
    samples = [(verb, sample) for verb in verbs for sample in counts.samples.get(SampleKey(user, verb, target), ())]
    latest = sorted(samples, key=lambda pair: pair[1].time, reverse=True)[:_MOST_REQUESTS]
    return HeatCell(
        count=sum(verbs.values()),
        refused=refused,
        verbs=tuple(sorted(verbs.items(), key=lambda item: (-item[1], item[0]))),
        requests=tuple(latest),
    )


def refused_rows(counts: ReportCounts) -> list[ReportRow]:
    """Return what was answered with 401 or 403."""
    return _rows(counts, lambda _, cell: cell.refused, lambda sample: sample.code in {401, 403})


def sensitive_rows(counts: ReportCounts) -> list[ReportRow]:
    """Return reads of what gives access away, and ways into containers, by whomever."""

    def matters(key: TallyKey, _: CellSums) -> int:
        kind = kind_of(key.group, key.resource, key.subresource)
        return counts.requests.get(key, 0) if kind and (key.verb in _READS or kind in {"tokens", _WAYS_IN}) else 0

    rows = _rows(counts, matters, lambda _: True)
    people_first = {kind: place for place, kind in enumerate(USER_KINDS)}
    return sorted(rows, key=lambda row: people_first[kind_of_user(row.user.username)])


def _rows(
    counts: ReportCounts, number: Callable[[TallyKey, CellSums], int], belongs: Callable[[SampleRequest], bool]
) -> list[ReportRow]:
    sums: dict[SampleKey, tuple[str, Presence]] = {}
    for key, cell in counts.tally.cells.items():
        count = number(key, cell)
        if count:
            place = SampleKey(key.user, key.verb, target_of(key))
            kind = kind_of(key.group, key.resource, key.subresource)
            presence = Presence(count, cell.first, cell.last)
            sums[place] = (kind, sums[place][1].plus(presence)) if place in sums else (kind, presence)
    ranked = sorted(sums.items(), key=lambda item: (-item[1][1].events, item[0]))[:_MOST_ROWS]
    return [
        ReportRow(
            user=place.user,
            verb=place.verb,
            target=place.target,
            sensitive=kind,
            count=presence.events,
            first=presence.first,
            last=presence.last,
            requests=tuple(sample for sample in reversed(counts.samples.get(place, ())) if belongs(sample)),
        )
        for place, (kind, presence) in ranked
    ]


def newcomers(counts: ReportCounts) -> dict[str, list[Newcomer]]:
    """Return users, agents and addresses, those first that came last; a field without any is left out."""
    result: dict[str, list[Newcomer]] = {}
    for field in CLIENT_FIELDS:
        rows = [Newcomer(value, presence) for (name, value), presence in counts.values.items() if name == field]
        rows.sort(key=lambda row: (row.presence.first, row.value), reverse=True)
        if rows:
            result[field] = rows[:_MOST_ROWS]
    return result
