"""Who and what makes the volume, and events over time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from auditctl.compatibility import UTC, datetime_of
from auditctl.log.aggregate import path_of
from auditctl.log.damage import ReadStatistics
from auditctl.log.events import Reader
from auditctl.log.filters import ALL_EVENTS, Selection
from auditctl.log.reading import CountBlock, selected_blocks
from auditctl.log.segments import LogSegment

BY = ("user", "verb", "resource", "namespace", "level", "rule")
DIMENSIONS = (*BY, "log")
"""Also which log an event is of: its path."""
_MOST_KEPT = 10_000
_MOST_PARTS = 20_000
_OTHERS = "(others)"
_EARLY = frozenset({"RequestReceived", "ResponseStarted"})


class Share(NamedTuple):
    """One value of a dimension, and what it makes."""

    value: str
    events: int
    bytes: int


class VolumeCounts:
    """Events and bytes by value of each dimension. A dimension keeps 10000 values; the smallest half of more become one."""

    def __init__(self, reader: Reader | None = None) -> None:
        self.account = ReadStatistics()
        self.by: dict[str, dict[str, list[int]]] = {name: {} for name in DIMENSIONS}
        self._reader = reader
        self._names: dict[bytes, str] = {}
        self._kinds: dict[tuple[str, str, bytes, bytes, tuple[str, ...]], list[int]] = {}

    def scan(
        self,
        pieces: Iterable[LogSegment],
        also: Callable[[CountBlock], None] | None = None,
        selection: Selection = ALL_EVENTS,
    ) -> VolumeCounts:
        """Count the selected events in these pieces; ``also`` is handed each block: a stream is read but once."""
        assert self._reader is not None  # noqa: S101 (built with one to be scanned with)
        decode = self._reader.unnamed_lines if also is None else self._reader.lines
        for piece in pieces:
            for block in selected_blocks(piece, decode, self._reader, self.account, *selection):
                self._take(block)
                add(self.by["log"], piece.name, len(block.events), sum(block.sizes))
                if also is not None:
                    also(block)
        self._spread()
        self._reader = None
        return self

    def _take(self, block: CountBlock) -> None:
        """Count events by all that a dimension shows; what is counted is spread over the dimensions in the end."""
        get = self._kinds.get
        for event, size in zip(block.events, block.sizes, strict=True):
            reference = event.object_ref
            if reference is None or not reference.resource:
                target: tuple[str, ...] = ("", path_of(event))
            else:
                group, resource, subresource = reference.api_group, reference.resource, reference.subresource
                target = (reference.namespace, group, resource, subresource)
            key = (event.verb, event.level, bytes(event.user), bytes(event.impersonated_user), target)
            sums = get(key)
            if sums is None:
                if len(self._kinds) >= _MOST_PARTS:
                    self._spread()
                sums = self._kinds[key] = [0, 0]
            sums[0] += 1
            sums[1] += size

    def _spread(self) -> None:
        users, verbs, resources, namespaces, levels, _ = (self.by[name] for name in BY)
        for (verb, level, user, impersonated, (namespace, *target)), (events, size) in self._kinds.items():
            name = self._names.get(user) or self._name(user)
            if impersonated:
                name = f"{name} as {self._names.get(impersonated) or self._name(impersonated)}"
            add(users, name, events, size)
            add(verbs, verb, events, size)
            add(levels, level, events, size)
            add(resources, resource_label(*target) if len(target) > 1 else target[0], events, size)
            if namespace:
                add(namespaces, namespace, events, size)
        self._kinds.clear()

    def _name(self, raw: bytes) -> str:
        assert self._reader is not None  # noqa: S101 (as above)
        name = self._reader.identity(raw).username or "(nobody)"
        if len(self._names) >= _MOST_KEPT:
            self._names.clear()
        self._names[raw] = name
        return name

    def absorb(self, other: VolumeCounts) -> None:
        """Take in what another process counted."""
        self.account.absorb(other.account)
        for name, values in other.by.items():
            for value, (events, size) in values.items():
                add(self.by[name], value, events, size)

    def top(self, name: str, most: int) -> list[Share]:
        """Return the biggest values of a dimension, by bytes."""
        ranked = sorted(self.by[name].items(), key=lambda pair: (-pair[1][1], pair[0]))
        return [Share(value, events, size) for value, (events, size) in ranked[:most]]


def resource_label(group: str, resource: str, subresource: str) -> str:
    """Return a resource as tables and filters have it: ``pods``, ``pods/log``, ``deployments.apps``."""
    label = f"{resource}/{subresource}" if subresource else resource
    return f"{label}.{group}" if group else label


def add(values: dict[str, list[int]], value: str, events: int, size: int) -> None:
    """Count one value; beyond the limit the smaller half of the values becomes one."""
    counted = values.get(value)
    if counted is None:
        if len(values) >= _MOST_KEPT:
            _shrink(values)
        counted = values.setdefault(value, [0, 0])
    counted[0] += events
    counted[1] += size


def _shrink(values: dict[str, list[int]]) -> None:
    ranked = sorted(values, key=lambda value: values[value][0])
    others = values.setdefault(_OTHERS, [0, 0])
    for value in ranked[: len(ranked) // 2]:
        if value != _OTHERS:
            events, size = values.pop(value)
            others[0] += events
            others[1] += size


class Rates:
    """Events and bytes over time, by parts of so many seconds: one, as long as there are not too many of them."""

    def __init__(self, reader: Reader | None = None) -> None:
        self.account = ReadStatistics()
        self.parts: dict[int, list[int]] = {}
        self.part_seconds = 1
        self.requests = 0
        self._busiest = 0
        self._first: int | None = None
        self._last = 0
        self._reader = reader

    def scan(self, pieces: Iterable[LogSegment], selection: Selection = ALL_EVENTS) -> Rates:
        """Count the selected events in these pieces that have a time."""
        assert self._reader is not None  # noqa: S101 (built with one to be scanned with)
        seconds: dict[str, list[int]] = {}
        for piece in pieces:
            for block in selected_blocks(piece, self._reader.unnamed_lines, self._reader, self.account, *selection):
                for event, size in zip(block.events, block.sizes, strict=True):
                    stamp = (event.stage_timestamp or "")[:19]
                    counted = seconds.get(stamp)
                    if counted is None:
                        counted = seconds[stamp] = [0, 0]
                    counted[0] += 1
                    counted[1] += size
                    self.requests += event.stage not in _EARLY
                if len(seconds) > _MOST_KEPT:
                    self.count(seconds)
                    seconds.clear()
        self.count(seconds)
        self._reader = None
        return self

    @classmethod
    def of(cls, part_seconds: int, parts: dict[int, list[int]], first: int | None, last: int, busiest: int) -> Rates:
        """Return rates that were counted before: parts of so many seconds, and what they do not tell any more."""
        rates = cls()
        rates.part_seconds, rates.parts = part_seconds, parts
        rates._first, rates._last, rates._busiest = first, last, busiest
        return rates

    def count(self, seconds: dict[str, list[int]]) -> None:
        """Count events and bytes by the second (RFC 3339 without a zone, UTC); what is no time is left out."""
        for stamp, (events, size) in seconds.items():
            try:
                second = int(datetime_of(stamp).replace(tzinfo=UTC).timestamp())
            except ValueError:  # no time
                continue
            self._busiest = max(self._busiest, events)
            self._first = second if self._first is None else min(self._first, second)
            self._last = max(self._last, second)
            self._add(second // self.part_seconds, events, size)

    def _add(self, part: int, events: int, size: int) -> None:
        counted = self.parts.setdefault(part, [0, 0])
        counted[0] += events
        counted[1] += size
        if len(self.parts) > _MOST_PARTS:
            self._coarsen(2 * self.part_seconds)

    def _coarsen(self, seconds: int) -> None:
        """Make the parts longer: a multiple of the present ones."""
        times, finer = seconds // self.part_seconds, self.parts
        self.parts, self.part_seconds = {}, seconds
        for part, (events, size) in finer.items():
            self._add(part // times, events, size)

    def absorb(self, other: Rates) -> None:
        """Take in what another process counted."""
        self.account.absorb(other.account)
        self.requests += other.requests
        self._busiest = max(self._busiest, other._busiest)
        if other._first is not None:
            self._first = other._first if self._first is None else min(self._first, other._first)
            self._last = max(self._last, other._last)
        if other.part_seconds > self.part_seconds:
            self._coarsen(other.part_seconds)
        for part, (events, size) in other.parts.items():
            self._add(part * other.part_seconds // self.part_seconds, events, size)

    @property
    def events(self) -> int:
        """Return those that have a time."""
        return sum(events for events, _ in self.parts.values())

    @property
    def bytes(self) -> int:
        """Return the bytes of the events that have a time."""
        return sum(size for _, size in self.parts.values())

    @property
    def busiest(self) -> int:
        """Events in the fullest second; of a log that is too long for seconds to be kept, the fullest that one process met."""
        if self.part_seconds > 1:
            return self._busiest
        return max((events for events, _ in self.parts.values()), default=0)

    @property
    def first(self) -> int | None:
        """Return the second of the first event, since 1970."""
        return self._first

    @property
    def last(self) -> int:
        """Return the second of the last event, since 1970; 0 where there is none."""
        return self._last

    @property
    def span_seconds(self) -> int:
        """Return the seconds from the first event to the last one, both counted."""
        return 0 if self._first is None else self._last - self._first + 1

    def columns(self, most: int) -> list[int]:
        """Return events in equal parts of the span, none of them shorter than the parts that were counted."""
        if self._first is None:
            return []
        counted = [0] * min(most, -(-self.span_seconds // self.part_seconds))
        for part, (events, _) in self.parts.items():
            since = min(max(part * self.part_seconds - self._first, 0), self.span_seconds - 1)
            counted[since * len(counted) // self.span_seconds] += events
        return counted
