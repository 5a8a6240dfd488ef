"""Who and what makes the volume, and events over time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from auditctl.log.blocks import Block, Piece, blocks
from auditctl.log.damage import Account
from auditctl.log.events import Reader

BY = ("user", "verb", "resource", "namespace", "level", "rule")
_MOST_KEPT = 10_000
_OTHERS = "(others)"
_EARLY = frozenset({"RequestReceived", "ResponseStarted"})
_BARS = " ▁▂▃▄▅▆▇█"


class Share(NamedTuple):
    """One value of a dimension, and what it makes."""

    value: str
    events: int
    bytes: int


class Counts:
    """Events and bytes by value of each dimension. A dimension keeps 10000 values; the smallest half of more become one."""

    def __init__(self, reader: Reader | None = None) -> None:
        self.account = Account()
        self.by: dict[str, dict[str, list[int]]] = {name: {} for name in BY}
        self._reader = reader
        self._names: dict[bytes, str] = {}

    def scan(self, pieces: Iterable[Piece], also: Callable[[Block], None] | None = None) -> Counts:
        """Count all events in these pieces; ``also`` is handed each block: a stream is read but once."""
        assert self._reader is not None  # noqa: S101 (built with one to be scanned with)
        for piece in pieces:
            for block in blocks(piece, self._reader, self.account):
                self._take(block)
                if also is not None:
                    also(block)
        self._reader = None
        return self

    def _take(self, block: Block) -> None:
        users, verbs, resources, namespaces, levels, _ = (self.by[name] for name in BY)
        for event, line in zip(block.events, block.lines, strict=True):
            size = len(line) + 1
            raw = bytes(event.user)
            add(users, self._names.get(raw) or self._name(raw), 1, size)
            add(verbs, event.verb, 1, size)
            add(levels, event.level, 1, size)
            reference = event.object_ref
            if reference is None:
                add(resources, event.request_uri.partition("?")[0], 1, size)
                continue
            what = f"{reference.resource}/{reference.subresource}" if reference.subresource else reference.resource
            add(resources, f"{what}.{reference.api_group}" if reference.api_group else what, 1, size)
            if reference.namespace:
                add(namespaces, reference.namespace, 1, size)

    def _name(self, raw: bytes) -> str:
        assert self._reader is not None  # noqa: S101 (as above)
        name = self._reader.identity(raw).username or "(nobody)"
        if len(self._names) >= _MOST_KEPT:
            self._names.clear()
        self._names[raw] = name
        return name

    def absorb(self, other: Counts) -> None:
        """Take in what another process counted."""
        self.account.absorb(other.account)
        for name, values in other.by.items():
            for value, (events, size) in values.items():
                add(self.by[name], value, events, size)

    def top(self, name: str, most: int) -> list[Share]:
        """The biggest values of a dimension, by bytes."""
        ranked = sorted(self.by[name].items(), key=lambda pair: (-pair[1][1], pair[0]))
        return [Share(value, events, size) for value, (events, size) in ranked[:most]]


def add(values: dict[str, list[int]], value: str, events: int, size: int) -> None:
    """Count, within bounds."""
    found = values.get(value)
    if found is None:
        if len(values) >= _MOST_KEPT:
            _shrink(values)
        found = values.setdefault(value, [0, 0])
    found[0] += events
    found[1] += size


def _shrink(values: dict[str, list[int]]) -> None:
    ranked = sorted(values, key=lambda value: values[value][0])
    others = values.setdefault(_OTHERS, [0, 0])
    for value in ranked[: len(ranked) // 2]:
        if value != _OTHERS:
            events, size = values.pop(value)
            others[0] += events
            others[1] += size


class Rates:
    """Events and bytes by second."""

    def __init__(self, reader: Reader | None = None) -> None:
        self.account = Account()
        self.seconds: dict[int, list[int]] = {}
        self.requests = 0
        self._reader = reader

    def scan(self, pieces: Iterable[Piece]) -> Rates:
        """Count all events in these pieces that have a time."""
        assert self._reader is not None  # noqa: S101 (built with one to be scanned with)
        kept: dict[str, list[int]] = {}
        for piece in pieces:
            for block in blocks(piece, self._reader, self.account):
                for event, line in zip(block.events, block.lines, strict=True):
                    stamp = (event.stage_timestamp or "")[:19]
                    found = kept.get(stamp)
                    if found is None:
                        found = kept[stamp] = self._second(stamp)
                    found[0] += 1
                    found[1] += len(line) + 1
                    self.requests += event.stage not in _EARLY
                if len(kept) > _MOST_KEPT:
                    kept.clear()
        self._reader = None
        return self

    def _second(self, stamp: str) -> list[int]:
        try:
            second = int(datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp())
        except ValueError:
            return [0, 0]
        return self.seconds.setdefault(second, [0, 0])

    def absorb(self, other: Rates) -> None:
        """Take in what another process counted."""
        self.account.absorb(other.account)
        self.requests += other.requests
        for second, (events, size) in other.seconds.items():
            add_to = self.seconds.setdefault(second, [0, 0])
            add_to[0] += events
            add_to[1] += size

    @property
    def span_seconds(self) -> int:
        """From the first event's second to the last one's, both counted."""
        return max(self.seconds) - min(self.seconds) + 1 if self.seconds else 0

    def columns(self, most: int) -> list[int]:
        """Events in equal parts of the span."""
        if not self.seconds:
            return []
        begin, span = min(self.seconds), self.span_seconds
        found = [0] * min(most, span)
        for second, (events, _) in self.seconds.items():
            found[(second - begin) * len(found) // span] += events
        return found


def sparkline(counts: list[int]) -> str:
    """One character a count, the highest full."""
    highest = max(counts, default=0) or 1
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // highest)] for count in counts)
