"""What commands make of tallies in place of logs: the cells of a policy, the shares of ``log top``, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple, cast

from auditctl.compatibility import UTC
from auditctl.log.aggregate import UNNAMED, CellCounts, PolicyMatcher, add_name
from auditctl.log.events import FullEvent
from auditctl.log.filters import LogFilters, compiled
from auditctl.log.tally import FOLDED, Tally, TallyKey, TallyUser
from auditctl.log.volume import VolumeCounts, add, resource_label
from auditctl.policy.evaluate import matches
from auditctl.policy.types import Attributes, GroupResources, Policy, PolicyRule, User

UserTest = Callable[[TallyUser], bool]


def cell_counts(judge: PolicyMatcher, tallies: Iterable[Tally], passes: UserTest | None = None) -> CellCounts:
    """Return the cells of the policies, as ``PolicyMatcher.scan`` makes them of the logs."""
    counts = CellCounts()
    users: dict[TallyUser, tuple[int, bool]] = {}
    for tally in tallies:
        counts.account.absorb(tally.account)
        for key, cell in tally.cells.items():
            if passes is not None and not passes(key.user):
                continue
            if key.user not in users:
                user = _user(key)
                users[key.user] = (judge.compiled.by_user(user), user is not None)
            fields = _fields(judge, key, *users[key.user])
            sums = counts.cells.get(fields)
            volume = cell.sums[:-1]
            counts.cells[fields] = [a + b for a, b in zip(sums, volume, strict=True)] if sums else volume
            add_name(counts.who.setdefault(fields, set()), key.user.username)
    counts.users_met = len(users)
    return counts


def _user(key: TallyKey) -> User | None:
    return User(key.user.username, key.user.groups) if key.user.username else None


def _fields(judge: PolicyMatcher, key: TallyKey, bits: int, authenticated: bool) -> tuple[object, ...]:  # noqa: FBT001 (a field of the cell)
    """Return the fields of the event's ``CellKey``."""
    head = (bits, authenticated, key.verb, key.stage, key.level)
    if not key.resource:
        fields: tuple[object, ...] = (*head, "", "", "", "", "", key.path)
    else:
        named = key.namespace in judge.namespaces
        namespace = key.namespace if named else UNNAMED if key.namespace else ""
        if named and key.namespace_of_body:
            namespace = ""
        name = key.name if key.name in judge.names else ""
        fields = (*head, key.group, key.resource, key.subresource, namespace, name, "")
    return (*fields, key.user.username) if judge.by_user else fields


class TallyShortfall(NamedTuple):
    """A rule that asks for what a tally has not kept: the rule from 0 (-1: any), its line, what, and the events concerned."""

    rule: int
    line: int
    names: str
    events: int


def shortfalls(policy: Policy, tally: Tally) -> list[TallyShortfall]:
    """Return the rules that this tally cannot decide. Without any, the replay of the tally is that of the log."""
    result: list[TallyShortfall] = []
    folded = sum(cell.sums[0] for key, cell in tally.cells.items() if key.is_folded and key.path != FOLDED)
    if folded:
        result.append(TallyShortfall(-1, 0, "users and resources", folded))
    for index, rule in enumerate(policy.rules):
        for names, could_match in _open_questions(rule, tally):
            events = sum(cell.sums[0] for key, cell in tally.cells.items() if could_match(key))
            if events:
                result.append(TallyShortfall(index, rule.line, names, events))
    return result


def _open_questions(rule: PolicyRule, tally: Tally) -> Iterator[tuple[str, Callable[[TallyKey], bool]]]:
    """Yield what the tally does not tell of this rule: what it is, and whether a cell is concerned."""
    entries = [entry for entry in rule.resources if entry.resources and _missing(entry, tally)]
    if entries:
        bare = replace(rule, resources=tuple(entry._replace(resource_names=()) for entry in entries))
        names = ", ".join(sorted({name for entry in entries for name in _missing(entry, tally)}))

        def concerns(key: TallyKey) -> bool:
            return key.name == UNNAMED and bool(key.resource) and matches(bare, attributes_of(key))

        yield f"the object names {names}", concerns
    if rule.non_resource_urls and "*" not in rule.non_resource_urls and not (rule.resources or rule.namespaces):
        everything = replace(rule, non_resource_urls=("*",))
        yield "paths", lambda key: key.path == FOLDED and matches(everything, attributes_of(key))


def _missing(entry: GroupResources, tally: Tally) -> set[str]:
    return set() if tally.names is None else set(entry.resource_names) - tally.names


def attributes_of(key: TallyKey) -> Attributes:
    """Return what a policy is asked about the requests of a cell."""
    namespace = "" if key.namespace_of_body else key.namespace
    return Attributes(
        user=_user(key),
        is_resource_request=bool(key.resource),
        verb=key.verb,
        api_group=key.group,
        namespace=namespace,
        resource=key.resource,
        subresource=key.subresource,
        name=key.name,
        path=key.path,
    )


class _Who(NamedTuple):
    """What a filter of users looks at of an event."""

    user: TallyUser
    impersonated_user: TallyUser | None


def user_test(values: Sequence[str]) -> UserTest | None:
    """Return the test of ``--user``; None where there is none."""
    if not values:
        return None
    test = compiled(LogFilters(user=values), datetime.now(UTC))

    def passes(user: TallyUser) -> bool:
        who = _Who(user, TallyUser(user.acts_as) if user.acts_as else None)
        return test(cast("FullEvent", who))  # a test of users looks at nothing else

    return passes


def volume_counts(tally: Tally, passes: UserTest | None = None) -> VolumeCounts:
    """Return the shares of ``log top``, of the users that pass the test."""
    counts = VolumeCounts()
    counts.account.absorb(tally.account)
    for key, cell in tally.cells.items():
        if passes is not None and not passes(key.user):
            continue
        events, size = cell.sums[:2]
        for name, value in _values(key):
            add(counts.by[name], value, events, size)
    return counts


def _values(key: TallyKey) -> Iterator[tuple[str, str]]:
    yield "user", key.user.label
    yield "verb", key.verb
    yield "level", key.level
    yield "resource", resource_label(key.group, key.resource, key.subresource) if key.resource else key.path
    if key.namespace:
        yield "namespace", key.namespace
