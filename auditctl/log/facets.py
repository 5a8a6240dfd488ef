"""Which values a field has in a log, and how many events have each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from auditctl.log.damage import ReadStatistics
from auditctl.log.events import FullEvent, Reader
from auditctl.log.filters import Selection
from auditctl.log.reading import whole_blocks
from auditctl.log.segments import LogSegment


def _resource(event: FullEvent) -> str:
    reference = event.object_ref
    if reference is None or not reference.resource:
        return ""
    name = f"{reference.resource}/{reference.subresource}" if reference.subresource else reference.resource
    return f"{name}.{reference.api_group}" if reference.api_group else name


FIELDS: Mapping[str, Callable[[FullEvent], Iterable[str]]] = {
    "user": lambda event: (event.user.username,),
    "impersonated-user": lambda event: (event.impersonated_user.username if event.impersonated_user else "",),
    "group": lambda event: event.user.groups,
    "verb": lambda event: (event.verb,),
    "resource": lambda event: (_resource(event),),
    "namespace": lambda event: (event.object_ref.namespace if event.object_ref else "",),
    "name": lambda event: (event.object_ref.name if event.object_ref else "",),
    "agent": lambda event: (event.user_agent,),
    "code": lambda event: (str(event.response_status.code) if event.response_status else "",),
    "source-ip": lambda event: event.source_ips or (),
    "level": lambda event: (event.level,),
    "stage": lambda event: (event.stage,),
}
_ALSO = {
    "address": "source-ip",
    "addresse": "source-ip",
    "source": "source-ip",
    "user-agent": "agent",
    "impersonated": "impersonated-user",
}


def field_named(word: str) -> str | None:
    """Return the field for a word in singular or plural, None for an unknown one."""
    bare = word.lower().replace("_", "-")
    for each in (bare, bare.removesuffix("s")):
        name = _ALSO.get(each, each)
        if name in FIELDS:
            return name
    return None


class FacetValue(NamedTuple):
    """A value, the events that have it, and the time of the last of them."""

    value: str
    events: int
    last: str


class FacetCounts:
    """The values of one field; two of them make one."""

    def __init__(self, field: str) -> None:
        self.field = field
        self.account = ReadStatistics()
        self.matched = 0
        self._counts: Counter[str] = Counter()
        self._last: dict[str, str] = {}

    def scan(self, pieces: Iterable[LogSegment], reader: Reader, selection: Selection) -> FacetCounts:
        """Count the events of the pieces; return itself."""
        values_of = FIELDS[self.field]
        for piece in pieces:
            for block in whole_blocks(piece, reader, self.account, selection.needle):
                for event in block.events:
                    if selection.test is None or selection.test(event):
                        self.matched += 1
                        self._add(values_of(event), event.stage_timestamp or "")
        return self

    def _add(self, values: Iterable[str], time: str) -> None:
        for value in values:
            self._counts[value] += 1
            if time > self._last.get(value, ""):
                self._last[value] = time

    def absorb(self, other: FacetCounts) -> None:
        """Take in what another process counted."""
        self.account.absorb(other.account)
        self.matched += other.matched
        self._counts.update(other._counts)
        for value, time in other._last.items():
            self._last[value] = max(time, self._last.get(value, ""))

    def values(self) -> list[FacetValue]:
        """Return the values that are there, most events first."""
        rows = [FacetValue(value, count, self._last.get(value, "")) for value, count in self._counts.items() if value]
        return sorted(rows, key=lambda row: (-row.events, row.value))
