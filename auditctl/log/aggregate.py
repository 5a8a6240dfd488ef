"""Recorded events counted by what policies can tell apart: the decision is kept by attribute tuple.

Of a request, rules see only whether a value is one that some rule names. So a user is the set of rules that it passes,
and names and namespaces that no rule names are one. What is left has few values, whatever the size of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.log.damage import ReadStatistics
from auditctl.log.events import CompactEvent, Reader
from auditctl.log.readers import reader
from auditctl.log.reading import CountBlock, count_blocks
from auditctl.log.segments import LogSegment
from auditctl.log.sizes import EventVolume
from auditctl.policy.compiled import Compiled
from auditctl.policy.request import attributes
from auditctl.policy.types import Decision, Policy, PolicyRule, User

_MOST_USERS_KEPT = 20_000
_MOST_CELLS = 50_000
_MOST_KEPT = 20_000
_MOST_NAMED = 3
_MOST_NAMES_HELD = 1_000
METHODS = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE", "deletecollection": "DELETE"}


class CellKey(NamedTuple):
    """What events of one cell share. ``users`` are the rules that the user passes, as bits.

    ``user`` is the name, and "" where users are not told apart or have become too many.
    """

    users: int
    authenticated: bool
    verb: str
    stage: str
    level: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    path: str
    user: str = ""


class CellCounts:
    """Cells, what the reading met, and how often a cell was there already."""

    def __init__(self) -> None:
        self.account = ReadStatistics()
        self.cells: dict[tuple[object, ...], list[int]] = {}
        self.who: dict[tuple[object, ...], set[str]] = {}
        self.users_met = 0

    @property
    def misses(self) -> int:
        """Return events whose decision was not kept yet."""
        return len(self.cells)

    def absorb(self, other: CellCounts) -> None:
        self.account.absorb(other.account)
        self.users_met += other.users_met
        for key, sums in other.cells.items():
            mine = self.cells.get(key)
            self.cells[key] = [a + b for a, b in zip(mine, sums, strict=True)] if mine else sums
            self.who[key] = set(sorted(self.who.get(key, set()) | other.who[key])[:_MOST_NAMED])

    def volumes(self) -> Iterator[tuple[CellKey, EventVolume, tuple[str, ...]]]:
        """Yield each cell: what its events share, their sums, and up to three who made them."""
        for key, sums in self.cells.items():
            yield CellKey(*key), EventVolume(*sums), tuple(sorted(self.who[key])[:_MOST_NAMED])  # type: ignore[arg-type] # built by `Counting`


class PolicyMatcher:
    """Policies side by side, compiled as one: rules as bits, those of the second behind those of the first."""

    def __init__(self, policies: Sequence[Policy], *, managed: bool = False, by_user: bool = False) -> None:
        rules: tuple[PolicyRule, ...] = tuple(rule for policy in policies for rule in policy.rules)
        self.policies = tuple(policies)
        self.compiled = Compiled(Policy(rules))
        self.names = {
            name for rule in rules for entry in rule.resources for name in entry.resource_names if entry.resources
        }
        self.namespaces = {each for rule in rules for each in rule.namespaces if each}
        self.managed = managed
        self.by_user = by_user
        self._decisions = tuple(Compiled(policy).decisions for policy in policies)

    def compiled_decisions(self, which: int) -> tuple[Decision, ...]:
        """Return what each rule of a policy decides; the last is that of no rule."""
        return self._decisions[which]

    def rule(self, key: CellKey, which: int = 0) -> int:
        """Return the deciding rule of a policy, -1 is none."""
        passing = key.users & self.compiled.by_verb(key.verb)
        if key.resource:
            passing &= self.compiled.by_resource((key.group, key.resource, key.subresource), key.name, key.namespace)
        else:
            passing &= self.compiled.by_path(key.path)
        before = sum(len(policy.rules) for policy in self.policies[:which])
        own = (passing >> before) & ((1 << len(self.policies[which].rules)) - 1)
        return (own & -own).bit_length() - 1

    def scan(self, pieces: Iterable[LogSegment], reader: Reader) -> CellCounts:
        """Return the cells of all events in these pieces."""
        counting = Counting(self, reader)
        for piece in pieces:
            for block in count_blocks(piece, counting.decode, reader, counting.tally.account):
                counting.take(block)
        return counting.tally

    def scan_alone(self, pieces: Iterable[LogSegment]) -> CellCounts:
        """Return the same with this process's own reader: a new interpreter is sent this method, and no reader can be."""
        return self.scan(pieces, reader())


class Counting:
    """Puts events into the cells of a tally."""

    def __init__(self, judge: PolicyMatcher, reader: Reader) -> None:
        self.tally = CellCounts()
        self._judge = judge
        self._reader = reader
        self._users: dict[bytes, tuple[int, bool, str]] = {}
        self._sums: dict[tuple[object, ...], list[int]] = {}

    @property
    def decode(self) -> Callable[[bytes], Sequence[CompactEvent]]:
        """Return the decoder for ``take``: without object names where no rule has one."""
        return self._reader.lines if self._judge.names else self._reader.unnamed_lines

    def take(self, block: CountBlock) -> None:
        """Count a block's events. Written out in one go: calls would double its time.

        The sums are kept by what the line says of user, verb, level, stage and object, so that most events are not
        looked at more closely. Where a reference that may be filled from the body has a name that a rule has, the URL
        has to be read.
        """
        get = self._sums.get
        names, namespaces = self._judge.names, self._judge.namespaces
        reads_url = BODY_FILLED if names or namespaces else ()
        managed = self._judge.managed
        for event, size in zip(block.events, block.sizes, strict=True):
            reference, verb = event.object_ref, event.verb
            target: object = reference
            if reference is None or not reference.resource:
                target = event.request_uri
            elif names and reference.name not in names:
                target = (reference.resource, reference.namespace, reference.api_group, reference.subresource)
            key = (event.level, event.stage, verb, bytes(event.user), target)
            sums = get(key)
            if sums is None or (
                verb in reads_url
                and reference is not None
                and (reference.namespace in namespaces or reference.name in names)
            ):
                sums = self._sums_of(event, key)
            sums[0] += 1
            sums[1] += size
            if event.request_object:
                sums[2] += 1
                sums[3] += len(event.request_object)
                if managed and verb != "patch":  # the server never alters a patch
                    sums[6] += self._managed(event.request_object)
            if event.response_object:
                sums[4] += 1
                sums[5] += len(event.response_object)
                if managed:
                    sums[7] += self._managed(event.response_object)

    def line_key(self, event: CompactEvent) -> tuple[object, ...] | None:
        """Return what ``take`` keeps sums by; None where the URL has to be read. For those who ask for single events."""
        names, namespaces = self._judge.names, self._judge.namespaces
        reference, verb = event.object_ref, event.verb
        if reference is None or not reference.resource:
            target: tuple[str, ...] = (event.request_uri,)
        else:
            name = reference.name if reference.name in names else ""
            if verb in BODY_FILLED and (name or reference.namespace in namespaces):
                return None
            target = (reference.resource, reference.namespace, reference.api_group, reference.subresource, name)
        return (event.level, event.stage, verb, bytes(event.user), target)

    def _sums_of(self, event: CompactEvent, line_key: tuple[object, ...]) -> list[int]:
        """Return the sums of an event's cell, and keep them for its like."""
        cells = self.tally.cells
        key, username = self.key_of(event)
        if key not in cells:
            if len(cells) >= _MOST_CELLS:
                key = (*key[:10], "" if event.object_ref else "/...")
            cells.setdefault(key, [0] * 8)
            self.tally.who.setdefault(key, set())
        add_name(self.tally.who[key], username)
        if len(self._sums) >= _MOST_KEPT:
            self._sums.clear()
        sums = self._sums[line_key] = cells[key]
        return sums

    def key_of(self, event: CompactEvent) -> tuple[tuple[object, ...], str]:
        """Return the fields of the event's ``CellKey``, and the user's name."""
        judge = self._judge
        raw = bytes(event.user)
        bits, known, username = self._users.get(raw) or self._user(raw)
        reference, verb = event.object_ref, event.verb
        head = (bits, known, verb, event.stage, event.level)
        if reference is None or not reference.resource:
            key: tuple[object, ...] = (*head, "", "", "", "", "", path_of(event))
        else:
            namespace = reference.namespace if reference.namespace in judge.namespaces else ""
            name = reference.name if reference.name in judge.names else ""
            if (name or namespace) and verb in BODY_FILLED:
                namespace, name = _of_url(event, namespace, name)
            elif not namespace and reference.namespace:
                namespace = UNNAMED
            key = (*head, reference.api_group, reference.resource, reference.subresource, namespace, name, "")
        return ((*key, username) if judge.by_user else key), username

    def _managed(self, body: bytes) -> int:
        raw = bytes(body)
        return self._reader.managed(raw) if b'"managedFields"' in raw else 0

    def _user(self, raw: bytes) -> tuple[int, bool, str]:
        identity_read = self._reader.identity(raw)
        user = User(identity_read.username, tuple(identity_read.groups)) if identity_read.username else None
        entry = (self._judge.compiled.by_user(user), user is not None, identity_read.username)
        self.tally.users_met += 1
        if len(self._users) >= _MOST_USERS_KEPT:
            self._users.clear()
        self._users[raw] = entry
        return entry


UNNAMED = "-"
"""Some namespace that no rule names; "" is none at all."""
BODY_FILLED = frozenset({"create", "update", "patch", "deletecollection"})
"""Verbs whose objectRef the server fills from the body where the URL names nothing (`audit/request.go LogRequestObject`)."""


def path_of(event: CompactEvent) -> str:
    """Return the path of a request that is for no resource, escapes decoded."""
    path = event.request_uri.partition("?")[0]
    if "%" not in path:
        return path
    try:
        return attributes("GET", path, None).path
    except RefusedError:
        return path


def _of_url(event: CompactEvent, namespace: str, name: str) -> tuple[str, str]:
    """Return, of namespace and name, what the URL has: the decision is taken before the body is read."""
    reference = event.object_ref
    unnamed = UNNAMED if reference is not None and reference.namespace else ""
    try:
        named_by_url = attributes(METHODS[event.verb], event.request_uri, None)
    except RefusedError:
        return namespace or unnamed, name
    if namespace and not named_by_url.namespace:
        return "", (name if named_by_url.name == name else "")
    return namespace or unnamed, (name if named_by_url.name == name else "")


def add_name(names: set[str], name: str) -> None:
    """Add one of those who made the events of a cell. The first ones of the alphabet stay, in whatever order they come."""
    names.add(name)
    if len(names) > _MOST_NAMES_HELD:
        names.intersection_update(sorted(names)[:_MOST_NAMED])
