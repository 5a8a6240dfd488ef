"""Do two policies decide alike? Found from their own vocabulary: every value that one of them names, and one that none does.

A difference shows at a request that some rule of one policy decides; so for each rule the requests are tried that it
can match: its own values where it restricts, the whole vocabulary where it does not. Groups are tried one at a time
and all together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, product
from typing import NamedTuple, TypeVar

from auditctl.policy.evaluate import evaluate
from auditctl.policy.types import Attributes, Decision, GroupResources, Policy, PolicyRule, User

T = TypeVar("T")

_FRESH = "auditctl-other"  # a value that no policy names
_MOST_REQUESTS_A_RULE = 20_000
_VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


class Difference(NamedTuple):
    """One request that the two policies decide otherwise."""

    attributes: Attributes
    old: Decision
    new: Decision

    def __str__(self) -> str:
        asked = self.attributes
        who = f" by {asked.user.name}" if asked.user else " without a user"
        what = f"{asked.resource}{f'/{asked.subresource}' if asked.subresource else ''}{f'.{asked.api_group}' if asked.api_group else ''}"
        target = f"{what} {asked.name}".strip() + (f" in {asked.namespace}" if asked.namespace else "")
        request = f"{asked.verb} {target if asked.is_resource_request else asked.path}{who}"
        return f"{request}: {self.old.level.value} (rule {self.old.rule}), not {self.new.level.value} (rule {self.new.rule})"


def first_difference(old: Policy, new: Policy) -> Difference | None:
    """The first request found that changes level, stages or managed fields; None if none is found."""
    return next(differences(old, new), None)


def differences(old: Policy, new: Policy) -> Iterator[Difference]:
    """Requests, each a value of the policies' own vocabulary, that the two decide otherwise."""
    for attributes in requests(old, new):
        one, other = evaluate(old, attributes), evaluate(new, attributes)
        if _outcome(one) != _outcome(other):
            yield Difference(attributes, one, other)


def requests(*policies: Policy) -> Iterator[Attributes]:
    """Requests that reach every rule of these policies and every gap between them, bounded in number."""
    words = _Vocabulary.of(policies)
    for rule in (*(rule for policy in policies for rule in policy.rules), None):
        yield from _bounded(_resource_requests(rule, words))
        yield from _bounded(_url_requests(rule, words))


class _Vocabulary(NamedTuple):
    """Every value named, and one fresh value a dimension."""

    users: tuple[User | None, ...]
    verbs: tuple[str, ...]
    entries: tuple[GroupResources, ...]
    namespaces: tuple[str, ...]
    urls: tuple[str, ...]

    @classmethod
    def of(cls, policies: Sequence[Policy]) -> _Vocabulary:
        rules = [rule for policy in policies for rule in policy.rules]
        names = _unique(name for rule in rules for name in rule.users)
        groups = _unique(group for rule in rules for group in rule.user_groups)
        return cls(
            (*_users((*names, _FRESH), groups), None),
            _unique((*(verb for rule in rules for verb in rule.verbs), *_VERBS)),
            _unique(
                (*(entry for rule in rules for entry in rule.resources), GroupResources(_FRESH), GroupResources(""))
            ),
            _unique((*(namespace for rule in rules for namespace in rule.namespaces), "", _FRESH)),
            _unique((*(url for rule in rules for url in rule.non_resource_urls), f"/{_FRESH}")),
        )


def _users(names: Sequence[str], groups: Sequence[str]) -> Iterator[User]:
    memberships = ((), *((group,) for group in groups), tuple(groups))
    yield from (User(name, membership) for name in names for membership in memberships)


def _resource_requests(rule: PolicyRule | None, words: _Vocabulary) -> Iterator[Attributes]:
    if rule is not None and rule.non_resource_urls:
        return
    targets = _unique(
        target
        for entry in (rule.resources if rule and rule.resources else words.entries)
        for target in _targets(entry, words)
    )
    axes = (
        _matching(rule, words),
        rule.verbs if rule and rule.verbs else words.verbs,
        targets,
        rule.namespaces if rule and rule.namespaces else words.namespaces,
    )
    for user, verb, (group, resource, subresource, name), namespace in product(*axes):
        yield Attributes(
            user,
            is_resource_request=True,
            verb=verb,
            api_group=group,
            api_version="v1",
            namespace=namespace,
            resource=resource,
            subresource=subresource,
            name=name,
            path="",
        )


def _url_requests(rule: PolicyRule | None, words: _Vocabulary) -> Iterator[Attributes]:
    if rule is not None and (rule.resources or rule.namespaces):
        return
    patterns = rule.non_resource_urls if rule and rule.non_resource_urls else words.urls
    paths = _unique(
        path for pattern in patterns for path in (pattern.rstrip("*"), pattern.rstrip("*") + _FRESH) if path
    )
    for user, verb, path in product(_matching(rule, words), rule.verbs if rule and rule.verbs else words.verbs, paths):
        yield Attributes(
            user,
            is_resource_request=False,
            verb=verb,
            api_group="",
            api_version="",
            namespace="",
            resource="",
            subresource="",
            name="",
            path=path,
        )


def _matching(rule: PolicyRule | None, words: _Vocabulary) -> tuple[User | None, ...]:
    """The users of the vocabulary that pass the rule's first two tests."""
    if rule is None:
        return words.users
    return tuple(
        user
        for user in words.users
        if (not rule.users or (user is not None and user.name in rule.users))
        and (not rule.user_groups or (user is not None and set(rule.user_groups) & set(user.groups)))
    )


def _targets(entry: GroupResources, words: _Vocabulary) -> Iterator[tuple[str, str, str, str]]:
    """(group, resource, subresource, name) that an entry of a rule can match."""
    groups = (
        _unique(other.group for other in words.entries if other.group != "*") if entry.group == "*" else (entry.group,)
    )
    names = (*entry.resource_names, "", _FRESH)
    for group, pattern, name in product(groups, entry.resources or ("*",), names):
        resource, _, subresource = pattern.partition("/")
        resources = (_FRESH, "pods", "secrets") if resource == "*" else (resource,)
        subresources = ("", _FRESH, "status", "exec") if "*" in (subresource, pattern) else (subresource,)
        yield from ((group, one, sub, name) for one, sub in product(resources, subresources))


def _bounded(found: Iterator[Attributes]) -> Iterator[Attributes]:
    return islice(found, _MOST_REQUESTS_A_RULE)


def _unique(values: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))


def _outcome(decision: Decision) -> tuple[object, ...]:
    """What is written: nothing is nothing, whatever its stages."""
    if decision.level.value == "None":
        return (decision.level,)
    return decision.level, frozenset(decision.omit_stages), decision.omit_managed_fields
