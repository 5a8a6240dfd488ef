"""What a policy would have made of recorded traffic: counted from cells, so that a log is read once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from auditctl.log.aggregate import CellCounts, CellKey, PolicyMatcher
from auditctl.log.sensitive import kind_of
from auditctl.log.sizes import EventVolume, bytes_at, level_of
from auditctl.policy.evaluate import stages
from auditctl.policy.types import Attributes, Decision, Level, Policy, Stage, User

_FINAL = (Stage.RESPONSE_COMPLETE.value, Stage.PANIC.value)
_SOMEBODY = User("somebody")


class Sum(NamedTuple):
    """Events and bytes; ``estimated_bytes`` are those of the bytes that the log does not show."""

    events: int = 0
    bytes: int = 0
    estimated_bytes: int = 0

    def plus(self, other: Sum) -> Sum:
        return Sum(self.events + other.events, self.bytes + other.bytes, self.estimated_bytes + other.estimated_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Requests of one kind that come into sight or go out of it. ``rules`` decide them now (-1: none)."""

    sensitive: str
    verb: str
    target: str
    requests: int
    events: int
    bytes: int
    users: tuple[str, ...]
    rules: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The answer. ``baseline`` is what OLD would have made of it, or what was recorded.

    ``unknown_bodies``: events that would hold a body of which the log has no example. ``unrecorded``: events of stages that
    the log lacks altogether, by stage: as many as there are requests. ``dropped``: recorded events that each rule would not
    write, by its level or a stage that it omits.
    """

    recorded: Sum
    baseline: Sum
    predicted: Sum
    levels: dict[str, tuple[Sum, Sum]]
    rules: dict[int, Sum]
    agreeing: int
    invisible: tuple[Group, ...]
    visible: tuple[Group, ...]
    unknown_bodies: int
    unrecorded: dict[str, int]
    dropped: dict[int, int]


def decided(judge: PolicyMatcher, key: CellKey, which: int) -> Decision:
    """Return what one of the judge's policies makes of a cell."""
    return judge.compiled_decisions(which)[judge.rule(key, which)]


def writes(decision: Decision, stage: str) -> bool:
    """Return whether an event of this stage is written."""
    return decision.level is not Level.NONE and all(stage != omitted.value for omitted in decision.omit_stages)


class _Bodies:
    """Mean bytes of bodies, learned from what was recorded at a level that has them."""

    def __init__(self, cells: Iterable[tuple[CellKey, EventVolume]]) -> None:
        self._sums: dict[tuple[str, ...], list[int]] = {}
        for key, volume in cells:
            if key.stage not in _FINAL:
                continue
            recorded = level_of(key.level)
            for which in ((key.verb, key.group, key.resource, key.subresource), (key.verb, bool_word(key))):
                for kind, least, size, count in (
                    ("request", Level.REQUEST, volume.request_bytes, volume.requests),
                    ("response", Level.REQUEST_RESPONSE, volume.response_bytes, volume.responses),
                ):
                    if recorded >= least:
                        sums = self._sums.setdefault((kind, *which), [0, 0])
                        sums[0] += volume.events
                        sums[1] += size + 18 * count

    def estimate(self, key: CellKey, volume: EventVolume, level: Level) -> int | None:
        """Return bytes that bodies would add above the recorded level; None where the log has no example of one."""
        if key.stage not in _FINAL:
            return 0
        recorded, total = level_of(key.level), 0
        for kind, least in (("request", Level.REQUEST), ("response", Level.REQUEST_RESPONSE)):
            if recorded >= least or level < least or (kind == "request" and key.verb in ("get", "list", "watch")):
                continue
            sums = self._sums.get((kind, key.verb, key.group, key.resource, key.subresource)) or self._sums.get(
                (kind, key.verb, bool_word(key))
            )
            if sums is None:
                return None
            total += sums[1] * volume.events // sums[0]
        return total


def bool_word(key: CellKey) -> str:
    """Return whether it is for a resource."""
    return "resource" if key.resource else "path"


def replay(judge: PolicyMatcher, tally: CellCounts) -> Replay:
    """Judge every cell by the first policy of ``judge``, and by the second, if it has one, for comparison."""
    counting = _Counting(judge, tally)
    for key, volume, who in tally.volumes():
        counting.take(key, volume, who)
    return counting.result()


class _Counting:
    def __init__(self, judge: PolicyMatcher, tally: CellCounts) -> None:
        self._judge = judge
        self._bodies = _Bodies((key, volume) for key, volume, _ in tally.volumes())
        self._recorded = self._baseline = self._predicted = Sum()
        self._levels: dict[str, tuple[Sum, Sum]] = {level.value: (Sum(), Sum()) for level in Level}
        self._rules: dict[int, Sum] = {}
        self._dropped: dict[int, int] = {}
        self._agreeing = self._unknown = 0
        self._unrecorded: dict[str, int] = {}
        self._stages = {key.stage for key, _, _ in tally.volumes()}
        self._moved: dict[tuple[bool, str, str, str], _Moved] = {}

    def take(self, key: CellKey, volume: EventVolume, who: tuple[str, ...]) -> None:
        recorded = level_of(key.level)
        new = decided(self._judge, key, 0)
        compared = decided(self._judge, key, 1) if len(self._judge.policies) > 1 else None
        was = Sum(volume.events, volume.bytes)
        after = self._size(key, volume, new)
        before = was if compared is None else self._size(key, volume, compared)
        compared_level = (
            recorded.value if compared is None else (compared.level.value if before.events else Level.NONE.value)
        )
        new_level = new.level.value if after.events else Level.NONE.value
        self._recorded, self._baseline = self._recorded.plus(was), self._baseline.plus(before)
        self._predicted = self._predicted.plus(after)
        self._count(compared_level, 0, before if before.events else Sum(volume.events))
        self._count(new_level, 1, after if after.events else Sum(volume.events))
        self._rules[new.rule] = self._rules.get(new.rule, Sum()).plus(after)
        self._dropped[new.rule] = self._dropped.get(new.rule, 0) + volume.events - after.events
        if after.events and new.level is recorded:
            self._agreeing += volume.events
        self._expect_stages(key, volume, new)
        self._move(key, volume, who, new, compared)

    def _count(self, level: str, side: int, part: Sum) -> None:
        pair = list(self._levels[level])
        pair[side] = pair[side].plus(part)
        self._levels[level] = (pair[0], pair[1])

    def _size(self, key: CellKey, volume: EventVolume, decision: Decision) -> Sum:
        if not writes(decision, key.stage):
            return Sum()
        known = bytes_at(volume, level_of(key.level), decision.level, without_managed=decision.omit_managed_fields)
        more = self._bodies.estimate(key, volume, decision.level)
        if more is None:
            self._unknown += volume.events
        return Sum(volume.events, known + (more or 0), more or 0)

    def _expect_stages(self, key: CellKey, volume: EventVolume, new: Decision) -> None:
        """Return whether a stage is missing from the whole log, so that it was omitted when the log was written."""
        if key.stage not in _FINAL:
            return
        for stage in stages(new, _attributes(key)):
            if stage.value not in self._stages:
                self._unrecorded[stage.value] = self._unrecorded.get(stage.value, 0) + volume.events

    def _move(
        self, key: CellKey, volume: EventVolume, who: tuple[str, ...], new: Decision, compared: Decision | None
    ) -> None:
        in_sight = self._is_in_sight(key, new)
        was = compared is None or self._is_in_sight(key, compared)
        if in_sight == was:
            return
        target = key.path if not key.resource else key.resource
        target += f"/{key.subresource}" if key.subresource else ""
        target += f".{key.group}" if key.group else ""
        kind = kind_of(key.group, key.resource, key.subresource)
        moved = self._moved.setdefault((in_sight, kind, key.verb, target), _Moved())
        moved.take(key.stage, volume, who, new.rule)

    def _is_in_sight(self, key: CellKey, decision: Decision) -> bool:
        """Return whether any event of the request remains."""
        return writes(decision, key.stage) or bool(stages(decision, _attributes(key), authenticated=key.authenticated))

    def result(self) -> Replay:
        groups = [
            (in_sight, moved.group(kind, verb, target)) for (in_sight, kind, verb, target), moved in self._moved.items()
        ]
        ranked = sorted(groups, key=_rank)
        return Replay(
            recorded=self._recorded,
            baseline=self._baseline,
            predicted=self._predicted,
            levels=self._levels,
            rules=dict(sorted(self._rules.items())),
            agreeing=self._agreeing,
            invisible=tuple(group for in_sight, group in ranked if not in_sight),
            visible=tuple(group for in_sight, group in ranked if in_sight),
            unknown_bodies=self._unknown,
            unrecorded=self._unrecorded,
            dropped=self._dropped,
        )


def _rank(pair: tuple[bool, Group]) -> tuple[object, ...]:
    """Return the place in the list: sensitive ones and frequent ones first, and never by the order of the log."""
    group = pair[1]
    return (not group.sensitive, -group.requests, group.target, group.verb, group.sensitive)


class _Moved:
    def __init__(self) -> None:
        self.stages: dict[str, int] = {}
        self.events = self.bytes = 0
        self.users: set[str] = set()
        self.rules: set[int] = set()

    def take(self, stage: str, volume: EventVolume, who: tuple[str, ...], rule: int) -> None:
        stage = "final" if stage in _FINAL else stage
        self.stages[stage] = self.stages.get(stage, 0) + volume.events
        self.events += volume.events
        self.bytes += volume.bytes
        self.users = set(sorted({*self.users, *who})[:3])
        self.rules.add(rule)

    def group(self, kind: str, verb: str, target: str) -> Group:
        """Of a request's stages at least one is in the log; the most frequent one counts requests."""
        requests = max(self.stages.values())
        return Group(
            sensitive=kind,
            verb=verb,
            target=target,
            requests=requests,
            events=self.events,
            bytes=self.bytes,
            users=tuple(sorted(self.users)),
            rules=tuple(sorted(self.rules)),
        )


def _attributes(key: CellKey) -> Attributes:
    user = _SOMEBODY if key.authenticated else None
    return Attributes(
        user=user,
        is_resource_request=bool(key.resource),
        verb=key.verb,
        api_group=key.group,
        namespace=key.namespace,
        resource=key.resource,
        subresource=key.subresource,
        name=key.name,
        path=key.path,
    )


def judge_of(policies: tuple[Policy, ...]) -> PolicyMatcher:
    """Return the judge of a replay: bodies are looked into only where a policy leaves out managed fields."""
    managed = any(
        policy.omit_managed_fields or any(rule.omit_managed_fields for rule in policy.rules) for policy in policies
    )
    return PolicyMatcher(policies, managed=managed)
