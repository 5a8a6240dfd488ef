"""A tally: a log counted by what policies can tell apart, so that tallies of several nodes add up to one.

A cell is one combination of user, verb, stage, level, resource and namespace, or path. It holds sums and two times. Bodies, the
queries of URLs, addresses and user agents are not in it; object names only where they are kept on request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from auditctl.compatibility import UTC, datetime_of
from auditctl.log.damage import ReadStatistics
from auditctl.log.sizes import EventVolume
from auditctl.log.volume import Rates

SOME_NAME = "-"
"""An object name that is not kept; "" is none at all."""
FOLDED = "..."
"""Stands for what is beyond a limit: as a path, or as the resource of a cell that holds all further kinds of requests."""
SUMS = len(EventVolume._fields) + 1
"""The sums of a cell: those of an ``EventVolume``, and the refused requests (401, 403)."""
MOST_CELLS = 200_000
MOST_PATHS = 2_000
MOST_USERS = 20_000
_SERIES_SECONDS = 60
_MOST_PARTS = 720
_NODE, _SERVICE_ACCOUNT, _SYSTEM, _ANONYMOUS = "system:node:", "system:serviceaccount:", "system:", "system:anonymous"


class TallyUser(NamedTuple):
    """Who made requests; ``acts_as`` is the impersonated user. A name of "" is nobody (a 401)."""

    username: str
    groups: tuple[str, ...] = ()
    acts_as: str = ""

    @property
    def label(self) -> str:
        """Return the name as tables have it."""
        name = self.username or "(nobody)"
        return f"{name} as {self.acts_as}" if self.acts_as else name


FOLDED_USER = TallyUser(FOLDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class TallyKey:
    """What the events of one cell share.

    ``namespace_of_body``: the URL names no namespace, the server filled it in from the body after the policy had decided
    (`apiserver/pkg/audit/request.go` LogRequestObject). ``name`` is that of the URL. ``path`` is set for requests that are
    for no resource.
    """

    user: TallyUser
    verb: str
    stage: str
    level: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    namespace_of_body: bool = False
    name: str = ""
    path: str = ""

    @property
    def is_folded(self) -> bool:
        """Return whether the cell holds what was beyond a limit, so that no policy can decide it."""
        return FOLDED in (self.resource, self.path) or self.user == FOLDED_USER


class CellSums:
    """The sums of a cell, and the times (to the second, RFC 3339 without a zone, UTC) of its first and last event."""

    __slots__ = ("first", "last", "sums")

    def __init__(self, sums: list[int] | None = None, first: str = "", last: str = "") -> None:
        self.sums = sums or [0] * SUMS
        self.first = first
        self.last = last

    @property
    def volume(self) -> EventVolume:
        return EventVolume(*self.sums[:-1])

    @property
    def refused(self) -> int:
        """Return the events that were answered with 401 or 403."""
        return self.sums[-1]

    def span(self, first: str, last: str) -> None:
        """Take in two times; "" is none."""
        if first and (not self.first or first < self.first):
            self.first = first
        self.last = max(self.last, last)

    def absorb(self, other: CellSums) -> None:
        """Add the sums of another cell."""
        for index, value in enumerate(other.sums):
            self.sums[index] += value
        self.span(other.first, other.last)


class TallyNode(NamedTuple):
    """One node in a tally: its name, the times of its first and last event ("" without any), events and bytes."""

    name: str
    first: str = ""
    last: str = ""
    events: int = 0
    bytes: int = 0


class TallySeries:
    """Events and bytes by part of the time, level and kind of user; a part is a whole number of minutes."""

    def __init__(self, part_seconds: int = _SERIES_SECONDS) -> None:
        self.part_seconds = part_seconds
        self.parts: dict[tuple[int, str, str], list[int]] = {}

    def count(self, second: int, level: str, kind: str, events: int, size: int) -> None:
        """Count events of one second."""
        sums = self.parts.setdefault((second // self.part_seconds, level, kind), [0, 0])
        sums[0] += events
        sums[1] += size

    def count_stamps(self, stamps: Mapping[tuple[str, str, str], Sequence[int]]) -> dict[str, list[int]]:
        """Count events and bytes by time stamp, level and kind of user; return them by stamp, without what is no time."""
        by_stamp: dict[str, list[int]] = {}
        for (stamp, level, kind), (events, size) in stamps.items():
            try:
                second = int(datetime_of(stamp).replace(tzinfo=UTC).timestamp())
            except ValueError:
                continue
            self.count(second, level, kind, events, size)
            sums = by_stamp.setdefault(stamp, [0, 0])
            sums[0] += events
            sums[1] += size
        return by_stamp

    def absorb(self, other: TallySeries) -> None:
        """Take in another series; the coarser one decides."""
        shared = max(self.part_seconds, other.part_seconds)
        for series in (self, other):
            if series.part_seconds < shared:
                series.coarsen(shared)
        for (part, level, kind), (events, size) in other.parts.items():
            self.count(part * other.part_seconds, level, kind, events, size)

    def fit(self) -> None:
        """Make the parts longer until there are few enough of them."""
        while len({part for part, _, _ in self.parts}) > _MOST_PARTS:
            self.coarsen(2 * self.part_seconds)

    def coarsen(self, seconds: int) -> None:
        """Make the parts so long; a multiple of the present length is exact."""
        parts, length = self.parts, self.part_seconds
        self.parts, self.part_seconds = {}, seconds
        for (part, level, kind), (events, size) in parts.items():
            self.count(part * length, level, kind, events, size)


class Tally:
    """Cells, times, and what the reading met. ``names`` are the object names that are kept; None: all of them."""

    def __init__(self, names: frozenset[str] | None = frozenset(), nodes: Iterable[TallyNode] = ()) -> None:
        self.names = names
        self.nodes = list(nodes)
        self.account = ReadStatistics()
        self.cells: dict[TallyKey, CellSums] = {}
        self.rates = Rates()
        self.series = TallySeries()
        self._paths: set[str] = set()
        self._users: set[TallyUser] = set()

    def cell(self, key: TallyKey) -> CellSums:
        """Return the cell of a key; beyond the limits that of everything else."""
        cell = self.cells.get(key)
        if cell is not None:
            return cell
        key = self._limited(key)
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = CellSums()
        return cell

    def _limited(self, key: TallyKey) -> TallyKey:
        if key.user not in self._users and key.user != FOLDED_USER:
            if len(self._users) >= MOST_USERS:
                key = replace(key, user=FOLDED_USER)
            else:
                self._users.add(key.user)
        if key.path not in self._paths and key.path not in ("", FOLDED):
            if len(self._paths) >= MOST_PATHS:
                key = replace(key, path=FOLDED)
            else:
                self._paths.add(key.path)
        if len(self.cells) >= MOST_CELLS and key not in self.cells:
            return TallyKey(user=FOLDED_USER, verb="", stage=key.stage, level=key.level, resource=FOLDED)
        return key

    def absorb(self, other: Tally) -> None:
        """Add another tally; only the names that both keep are told apart."""
        if self.names != other.names:
            kept = shared_names(self.names, other.names)
            self.keep_names(kept)
            other.keep_names(kept)
        self.account.absorb(other.account)
        self.nodes += other.nodes
        self.rates.absorb(other.rates)
        self.series.absorb(other.series)
        for key, cell in other.cells.items():
            self.cell(key).absorb(cell)

    def keep_names(self, names: frozenset[str] | None) -> None:
        """Leave out all other object names."""
        if names == self.names:
            return
        cells, self.cells, self.names = self.cells, {}, names
        for key, cell in cells.items():
            self.cell(replace(key, name=kept_name(key.name, names))).absorb(cell)

    @property
    def folded_events(self) -> int:
        """Return the events of which a limit has taken what policies ask for."""
        return sum(cell.sums[0] for key, cell in self.cells.items() if key.is_folded)


def kept_name(name: str, names: frozenset[str] | None) -> str:
    """Return the name if it is kept, else that there is one."""
    return name if not name or names is None or name in names else SOME_NAME


def shared_names(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    """Return the names that two tallies keep."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def kind_of_user(username: str) -> str:
    """Return whether a user is a person, a node, a controller, a component of the control plane, or nobody."""
    if not username or username == _ANONYMOUS:
        return "anonymous"
    if username.startswith(_NODE):
        return "nodes"
    if username.startswith(_SERVICE_ACCOUNT):
        return "controllers"
    return "components" if username.startswith(_SYSTEM) else "people"
