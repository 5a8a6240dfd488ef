"""What ``log report`` shows of a log: its tally, who and what was there first and last, and the latest requests of each kind."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from auditctl.log.aggregate import path_of
from auditctl.log.events import FullEvent, Reader
from auditctl.log.filters import Selection
from auditctl.log.reading import whole_blocks
from auditctl.log.segments import LogSegment
from auditctl.log.tally import CellSums, Tally, TallyKey, TallySeries, TallyUser, kept_name, kind_of_user
from auditctl.log.volume import resource_label

CLIENT_FIELDS = ("user", "agent", "address")
_MOST_KEPT = 4_000
_MOST_VALUES = 5_000
_MOST_SAMPLED = 5_000
_SAMPLES = 4
_HELD = 16
"""The server does not write in the order of its time stamps: the latest events are among so many of the last ones."""
_MOST_PARTS = 20_000
_FINAL = frozenset({"ResponseComplete", "Panic"})
_MOST_TEXT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRequest:
    """A request as the page lists it."""

    time: str
    code: int
    namespace: str
    name: str
    uri: str
    source: str
    agent: str
    audit_id: str


class SampleKey(NamedTuple):
    """Requests of one kind: whose, and on what."""

    user: TallyUser
    verb: str
    target: str


class Presence(NamedTuple):
    """Events that have a value, and the times of the first and the last of them."""

    events: int
    first: str
    last: str

    def plus(self, other: Presence) -> Presence:
        firsts = [each for each in (self.first, other.first) if each]
        return Presence(self.events + other.events, min(firsts, default=""), max(self.last, other.last))


class ReportCounts:
    """Everything the page is made of; two of them make one."""

    def __init__(self, names: frozenset[str] = frozenset()) -> None:
        self.tally = Tally(names)
        self.series = TallySeries(1)
        self.requests: dict[TallyKey, int] = {}
        self.samples: dict[SampleKey, list[SampleRequest]] = {}
        self.values: dict[tuple[str, str], Presence] = {}
        self.selected = 0

    def absorb(self, other: ReportCounts) -> None:
        """Take in what another process gathered."""
        self.tally.absorb(other.tally)
        self.series.absorb(other.series)
        self.selected += other.selected
        for key, count in other.requests.items():
            self.requests[key] = self.requests.get(key, 0) + count
        for sample_key, samples in other.samples.items():
            self.add_samples(sample_key, samples)
        for value_key, presence in other.values.items():
            self.add_value(value_key, presence)

    def take_tally(self, tally: Tally) -> None:
        """Take in a tally: it has no addresses, no agents and no single requests."""
        self.selected += tally.account.events
        for key, cell in tally.cells.items():
            if key.stage in _FINAL:
                self.requests[key] = self.requests.get(key, 0) + cell.sums[0]
            self.add_value(("user", key.user.label), Presence(cell.sums[0], cell.first, cell.last))
        self.series.absorb(tally.series)
        self.tally.absorb(tally)

    def add_value(self, key: tuple[str, str], presence: Presence) -> None:
        """Count the events of a value; values beyond the limit are left out."""
        known = self.values.get(key)
        if known is not None:
            self.values[key] = known.plus(presence)
        elif len(self.values) < _MOST_VALUES:
            self.values[key] = presence

    def add_samples(self, key: SampleKey, samples: Iterable[SampleRequest]) -> None:
        """Keep the latest requests of a kind."""
        if key in self.samples or len(self.samples) < _MOST_SAMPLED:
            both = [*self.samples.get(key, ()), *samples]
            self.samples[key] = sorted(both, key=lambda each: (each.time, each.audit_id, each.name))[-_SAMPLES:]


class _Kind:
    """What events that look alike add to."""

    __slots__ = ("cell", "key", "latest", "user_kind")

    def __init__(self, key: TallyKey, cell: CellSums) -> None:
        self.key = key
        self.cell = cell
        self.user_kind = kind_of_user(key.user.username)
        self.latest: deque[FullEvent] = deque(maxlen=_HELD)


class ReportCounting:
    """Puts whole events into the counts."""

    def __init__(self, counts: ReportCounts) -> None:
        self.counts = counts
        self._kinds: dict[tuple[object, ...], _Kind] = {}
        self._seconds: dict[tuple[str, str, str], list[int]] = {}
        self._clients: dict[tuple[str, str], list[object]] = {}

    def scan(self, pieces: Iterable[LogSegment], reader: Reader, selection: Selection) -> ReportCounts:
        """Count the selected events of the pieces; return the counts."""
        account = self.counts.tally.account
        for piece in pieces:
            for block in whole_blocks(piece, reader, account, selection.needle):
                for event, line in zip(block.events, block.lines, strict=True):
                    if selection.test is None or selection.test(event):
                        self.take(event, len(line) + 1)
        self.finish()
        return self.counts

    def take(self, event: FullEvent, size: int) -> None:
        """Count one event of so many bytes."""
        self.counts.selected += 1
        kind = self._kind(event)
        cell = kind.cell
        cell.sums[0] += 1
        cell.sums[1] += size
        status = event.response_status
        if status is not None and status.code in {401, 403}:
            cell.sums[-1] += 1
        if event.stage in _FINAL or (status is not None and status.code == 401):
            self.counts.requests[kind.key] = self.counts.requests.get(kind.key, 0) + 1
            kind.latest.append(event)
        stamp = (event.stage_timestamp or "")[:19]
        cell.span(stamp, stamp)
        sums = self._seconds.setdefault((stamp, event.level, kind.user_kind), [0, 0])
        sums[0] += 1
        sums[1] += size
        if len(self._seconds) > _MOST_PARTS:
            self._flush_seconds()
        self._meet("agent", event.user_agent, stamp)
        for address in event.source_ips or ():
            self._meet("address", address, stamp)

    def _meet(self, field: str, value: str, stamp: str) -> None:
        if not value:
            return
        known = self._clients.get((field, value))
        if known is None:
            if len(self._clients) >= _MOST_VALUES:
                return
            self._clients[field, value] = [1, stamp, stamp]
            return
        known[0] += 1  # type: ignore[operator] # a count and two times
        if stamp > known[2]:  # type: ignore[operator]
            known[2] = stamp
        elif stamp < known[1]:  # type: ignore[operator]
            known[1] = stamp

    def _kind(self, event: FullEvent) -> _Kind:
        reference, other = event.object_ref, event.impersonated_user
        if reference is None or not reference.resource:
            target: tuple[str, ...] = (event.request_uri,)
        else:
            name = kept_name(reference.name, self.counts.tally.names)
            target = (reference.api_group, reference.resource, reference.subresource, reference.namespace, name)
        head = (event.user.username, other.username if other else "", event.verb, event.stage, event.level)
        fields = (*head, target)
        kind = self._kinds.get(fields)
        if kind is None:
            if len(self._kinds) >= _MOST_KEPT:
                self._flush_kinds()
            key = _key(event, target)
            kind = self._kinds[fields] = _Kind(key, self.counts.tally.cell(key))
        return kind

    def finish(self) -> None:
        """Hand over what is held."""
        self._flush_seconds()
        self._flush_kinds()
        for (field, value), (events, first, last) in self._clients.items():
            self.counts.add_value((field, value), Presence(int(str(events)), str(first), str(last)))
        for key, cell in self.counts.tally.cells.items():
            self.counts.add_value(("user", key.user.label), Presence(cell.sums[0], cell.first, cell.last))

    def _flush_kinds(self) -> None:
        for kind in self._kinds.values():
            if kind.latest:
                sample_key = SampleKey(kind.key.user, kind.key.verb, target_of(kind.key))
                self.counts.add_samples(sample_key, map(_sample, kind.latest))
        self._kinds.clear()

    def _flush_seconds(self) -> None:
        self.counts.tally.rates.count(self.counts.series.count_stamps(self._seconds))
        self._seconds.clear()
        if len(self.counts.series.parts) > _MOST_PARTS:
            self.counts.series.coarsen(2 * self.counts.series.part_seconds)


def _key(event: FullEvent, target: tuple[str, ...]) -> TallyKey:
    other = event.impersonated_user
    groups = tuple(sorted(set(event.user.groups))) if event.user.username else ()
    user = TallyUser(event.user.username, groups, other.username if other else "")
    head = {"user": user, "verb": event.verb, "stage": event.stage, "level": event.level}
    if len(target) == 1:
        return TallyKey(**head, path=path_of(event))  # type: ignore[arg-type] # as above
    group, resource, subresource, namespace, name = target
    return TallyKey(**head, group=group, resource=resource, subresource=subresource, namespace=namespace, name=name)  # type: ignore[arg-type] # as above


def target_of(key: TallyKey) -> str:
    """Return what a request is about, as tables have it."""
    if not key.resource:
        return key.path
    return resource_label(key.group, key.resource, key.subresource)


def _sample(event: FullEvent) -> SampleRequest:
    reference = event.object_ref
    return SampleRequest(
        time=(event.stage_timestamp or "")[:23],
        code=event.response_status.code if event.response_status else 0,
        namespace=reference.namespace[:_MOST_TEXT] if reference else "",
        name=reference.name[:_MOST_TEXT] if reference else "",
        uri=event.request_uri.partition("?")[0][:_MOST_TEXT],
        source=", ".join(islice(event.source_ips or (), 3))[:_MOST_TEXT],
        agent=event.user_agent[:_MOST_TEXT],
        audit_id=event.audit_id[:_MOST_TEXT],
    )
