"""Judge which detections can fire under a policy, and compute the least change that lets every one of them fire.

A detection reads an event: of a request, at a level, at a stage. The policy decides each of these, so the evaluator
answers exactly. What a policy cannot decide (is the detection installed, is its list of exceptions right) is not
judged here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from auditctl.policy.detections import Detection, Sample
from auditctl.policy.evaluate import evaluate, stages
from auditctl.policy.types import Attributes, Decision, GroupResources, Level, Policy, PolicyRule, Stage

_ANONYMOUS = "system:anonymous"


class State(Enum):
    """Whether a detection can fire: on all of its requests, on some of them, on too few of them."""

    FED = "fed"
    PARTIAL = "partial"
    BLIND = "blind"


class Shortfall(NamedTuple):
    """A request of a detection whose events do not have what the detection reads.

    ``level`` is true where the level is the reason, ``stages`` are the stages of which one would have to be written.
    """

    sample: Sample
    decision: Decision
    line: int
    level: bool
    stages: tuple[Stage, ...]


class Coverage(NamedTuple):
    """One detection under a policy; ``misses`` are the requests that do not feed it."""

    detection: Detection
    state: State
    misses: tuple[Shortfall, ...]


class Insertion(NamedTuple):
    """Rules that belong before rule ``before`` of a policy; its number of rules stands for the end."""

    before: int
    rules: tuple[PolicyRule, ...]


class LeastChange(NamedTuple):
    """The least change: what to remove from the policy's own ``omitStages``, rules to insert, and the policy after it.

    ``unfed`` are the detections that still miss a request then: two of them need different levels of one request.
    """

    restored: tuple[Stage, ...]
    insertions: tuple[Insertion, ...]
    policy: Policy
    unfed: tuple[Coverage, ...]


def coverage(policy: Policy, detections: Iterable[Detection]) -> tuple[Coverage, ...]:
    """Return every detection with its state under ``policy``, in the order given."""
    return tuple(_judge(policy, each) for each in detections)


def _judge(policy: Policy, detection: Detection) -> Coverage:
    misses = tuple(miss for sample in detection.requests if (miss := _miss(policy, detection, sample)))
    fed = len(detection.requests) - len(misses)
    state = State.BLIND if fed < detection.needed else State.PARTIAL if misses else State.FED
    return Coverage(detection, state, misses)


def _miss(policy: Policy, detection: Detection, sample: Sample) -> Shortfall | None:
    decision = evaluate(policy, sample.attributes)
    right = decision.level is detection.level if detection.exact else decision.level >= detection.level
    # with the stages of a recorded request, whatever the level: None writes nothing, but says nothing of the stages
    written = stages(decision._replace(level=detection.level), sample.attributes)
    missing = () if set(written) & set(detection.stages) else detection.stages
    if right and not missing:
        return None
    line = policy.rules[decision.rule].line if decision.rule >= 0 else 0
    return Shortfall(sample, decision, line, not right, missing)


class _Need(NamedTuple):
    """What an inserted rule has to do for one kind of request.

    ``least`` is the highest level that a detection reads, ``exact`` the one that a detection compares (None: no one
    does), ``current`` what the policy records today.
    """

    least: Level
    exact: Level
    current: Level
    stages: frozenset[Stage]

    @property
    def level(self) -> Level:
        """The level of the rule: never lower than today's, unless a detection compares the level."""
        if self.exact is not Level.NONE and self.exact >= self.least:
            return self.exact
        return max(self.least, self.current)

    def joined(self, detection: Detection, stages: frozenset[Stage]) -> _Need:
        """Return the need with that of ``detection`` in it."""
        exact = max(self.exact, detection.level) if detection.exact else self.exact
        return self._replace(least=max(self.least, detection.level), exact=exact, stages=self.stages | stages)


class _Record(NamedTuple):
    """What an inserted rule records, and which stages it must not omit."""

    level: Level
    stages: frozenset[Stage]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a rule is inserted, whom it is for, and for which object names and namespaces."""

    before: int
    users: tuple[str, ...]
    user_groups: tuple[str, ...]
    namespaces: tuple[str, ...]
    target: tuple[str, str, tuple[str, ...]]
    verb: str


def least_change(policy: Policy, judged: Sequence[Coverage]) -> LeastChange | None:
    """Return the change that feeds every detection in ``judged`` with the fewest more bytes; None if all are fed.

    An inserted rule is the deciding rule again, narrowed to the verb and the resource of the request: requests that
    rules before it decide, and other users, stay as they are.
    """
    misses = [(each.detection, miss) for each in judged for miss in each.misses]
    if not misses:
        return None
    needs = {
        _place(policy, miss): _Need(Level.NONE, Level.NONE, miss.decision.level, frozenset()) for _, miss in misses
    }
    for detection, miss in misses:
        place = _place(policy, miss)
        needs[place] = needs[place].joined(detection, frozenset(miss.stages[-1:]))  # one event, at the end, is cheapest
    needs = _with_fed(policy, judged, needs)
    needed_stages = frozenset(stage for need in needs.values() for stage in need.stages)
    restored = tuple(stage for stage in policy.omit_stages if stage in needed_stages)
    base = policy._replace(omit_stages=tuple(stage for stage in policy.omit_stages if stage not in restored))
    records = {
        place: _Record(need.level, need.stages)
        for place, need in needs.items()
        if need.stages or need.level is not need.current
    }
    insertions = tuple(_insertions(policy, records))
    changed = _inserted(base, insertions)
    after = coverage(changed, [each.detection for each in judged])
    return LeastChange(restored, insertions, changed, tuple(each for each in after if each.misses))


def _place(policy: Policy, miss: Shortfall) -> _Place:
    request, index = miss.sample.attributes, miss.decision.rule
    rule = policy.rules[index] if index >= 0 else PolicyRule(level=Level.NONE)
    subresource = f"/{request.subresource}" if request.subresource else ""
    target = (request.api_group, f"{request.resource}{subresource}", _names(rule, request))
    return _Place(
        before=index if index >= 0 else len(policy.rules),
        users=rule.users or _anonymous(request),
        user_groups=rule.user_groups,
        namespaces=rule.namespaces,
        target=target if request.is_resource_request else ("", request.path, ()),
        verb=request.verb if request.is_resource_request else "",
    )


def _anonymous(request: Attributes) -> tuple[str, ...]:
    """The one user name that a detection can mean by itself; every other user of a sample stands for many."""
    return (_ANONYMOUS,) if request.user and request.user.name == _ANONYMOUS else ()


def _names(rule: PolicyRule, request: Attributes) -> tuple[str, ...]:
    """The object names to which the deciding rule is limited for this request."""
    entries = [entry for entry in rule.resources if entry.group in {request.api_group, "*"}]
    return next((entry.resource_names for entry in entries if request.name in entry.resource_names), ())


def _with_fed(policy: Policy, judged: Sequence[Coverage], needs: Mapping[_Place, _Need]) -> dict[_Place, _Need]:
    """Return the needs with what detections that are fed today read of the same requests."""
    joined = dict(needs)
    for each in judged:
        for sample in each.detection.requests:
            place = _place(policy, Shortfall(sample, evaluate(policy, sample.attributes), 0, level=False, stages=()))
            if place in joined:
                joined[place] = joined[place].joined(each.detection, frozenset())
    return joined


def _insertions(policy: Policy, needs: Mapping[_Place, _Record]) -> list[Insertion]:
    """Return the rules of each place: requests with the same verbs and the same need share one."""
    verbs: dict[tuple[_Place, _Record], list[str]] = {}
    for place, need in needs.items():
        verbs.setdefault((replace(place, verb=""), need), []).append(place.verb)
    targets: dict[tuple[_Place, _Record, tuple[str, ...]], list[tuple[str, str, tuple[str, ...]]]] = {}
    for (place, need), names in verbs.items():
        key = (replace(place, target=("", "", ())), need, tuple(dict.fromkeys(names)))
        targets.setdefault(key, []).append(place.target)
    rules: dict[int, list[PolicyRule]] = {}
    for (place, need, together), rows in targets.items():
        rules.setdefault(place.before, []).append(_rule(policy, place, need, together, rows))
    # rules for named users first: a rule for everybody before them would decide their requests
    return [
        Insertion(before, tuple(sorted(rules[before], key=lambda rule: not rule.users))) for before in sorted(rules)
    ]


def _rule(
    policy: Policy,
    place: _Place,
    need: _Record,
    verbs: tuple[str, ...],
    targets: Sequence[tuple[str, str, tuple[str, ...]]],
) -> PolicyRule:
    omitted = policy.rules[place.before].omit_stages if place.before < len(policy.rules) else ()
    of_url = verbs == ("",)
    return PolicyRule(
        level=need.level,
        users=place.users,
        user_groups=place.user_groups,
        verbs=() if of_url else verbs,
        resources=() if of_url else _entries(targets),
        namespaces=place.namespaces,
        non_resource_urls=tuple(path for _, path, _ in targets) if of_url else (),
        omit_stages=tuple(stage for stage in omitted if stage not in need.stages),
    )


def _entries(targets: Sequence[tuple[str, str, tuple[str, ...]]]) -> tuple[GroupResources, ...]:
    """One entry for each group and set of names."""
    entries: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for group, resource, names in targets:
        entries.setdefault((group, names), []).append(resource)
    return tuple(
        GroupResources(group, tuple(dict.fromkeys(resources)), names) for (group, names), resources in entries.items()
    )


def _inserted(policy: Policy, insertions: Iterable[Insertion]) -> Policy:
    rules: list[PolicyRule] = []
    before = {each.before: each.rules for each in insertions}
    for index, rule in enumerate((*policy.rules, None)):
        rules += before.get(index, ())
        rules += () if rule is None else (rule,)
    return policy._replace(rules=tuple(rules))
