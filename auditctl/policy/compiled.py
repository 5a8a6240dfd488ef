"""A policy prepared for many requests: the same decisions as ``evaluate``, without walking the rules for each.

Rules are bits of a number. Each test of `checker.go` becomes a table from a value of the request to the rules that
pass with it; the rules that pass all of them are the tables' common bits, and the first is the lowest. What a policy
does not name has one answer a table, so a request costs the same whatever the number of rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from auditctl.policy.evaluate import evaluate, resource_matches
from auditctl.policy.fast_request import Plain, take_apart
from auditctl.policy.request import attributes
from auditctl.policy.types import Attributes, Decision, Policy, PolicyRule, User

_MOST_TARGETS_KEPT = 4096
_NOWHERE = Attributes(user=None, is_resource_request=True, verb="")

Target = tuple[int, dict[str, int] | None]
"""The rules that a resource passes whatever its name, and those that it passes under a name."""


class Compiled:
    """Decides requests. Not to be shared by threads: it keeps what it learned of resources, up to a bound."""

    __slots__ = (
        "_base_url",
        "_by_group",
        "_by_namespace",
        "_by_url",
        "_by_user",
        "_by_verb",
        "_no_groups",
        "_no_namespaces",
        "_no_users",
        "_no_verbs",
        "_on_resources",
        "_policy",
        "_prefixes",
        "_targets",
        "decisions",
    )

    def __init__(self, policy: Policy) -> None:
        rules = policy.rules
        self._policy = policy
        self._no_users, self._by_user = _table(rules, lambda rule: rule.users)
        self._no_groups, self._by_group = _table(rules, lambda rule: rule.user_groups, alone=True)
        self._no_verbs, self._by_verb = _table(rules, lambda rule: rule.verbs)
        self._no_namespaces, self._by_namespace = _table(rules, lambda rule: rule.namespaces)
        restricted = _bits(rules, lambda rule: bool(rule.resources or rule.namespaces))
        on_urls = _bits(rules, lambda rule: bool(rule.non_resource_urls)) & ~restricted
        everything = (1 << len(rules)) - 1
        self._on_resources = everything & ~on_urls
        self._base_url = everything & ~restricted & ~on_urls
        self._by_url, self._prefixes = _urls(rules, on_urls)
        self._targets: dict[tuple[str, str, str], Target] = {}
        self.decisions: tuple[Decision, ...] = _decisions(policy)
        """By rule; the last one is that of no rule, so that ``decisions[-1]`` is it."""

    def request(self, method: str, url: str, user: str | None, groups: Sequence[str]) -> tuple[int, Plain]:
        """The deciding rule (-1: none) of one HTTP request, and the fields of its ``Attributes`` behind ``user``.

        Raises:
            RequestError: the URL does not parse.
        """
        plain = take_apart(method, url) or _plain(attributes(method, url, None))
        on_resource, verb, group, _, namespace, resource, subresource, name, path = plain
        passing = self._by_verb.get(verb, self._no_verbs)
        if user is None:
            passing &= self._no_users & self._no_groups
        else:
            passing &= self._by_user.get(user, self._no_users)
            of_groups = self._no_groups
            by_group = self._by_group
            if by_group:
                for member in groups:
                    if member in by_group:
                        of_groups |= by_group[member]
            passing &= of_groups
        if on_resource:
            key = (group, resource, subresource)
            unnamed, named = self._targets.get(key) or self._target(key)
            if named is not None and name in named:
                unnamed |= named[name]
            passing &= unnamed & self._by_namespace.get(namespace, self._no_namespaces)
        else:
            passing &= self.by_path(path)
        return (passing & -passing).bit_length() - 1, plain

    def by_user(self, user: User | None) -> int:
        """Return the rules that pass the tests of users and groups, as bits."""
        if user is None:
            return self._no_users & self._no_groups
        groups = self._no_groups
        for member in user.groups:
            groups |= self._by_group.get(member, 0)
        return groups & self._by_user.get(user.name, self._no_users)

    def by_verb(self, verb: str) -> int:
        """Return the rules that pass the test of verbs, as bits."""
        return self._by_verb.get(verb, self._no_verbs)

    def by_resource(self, key: tuple[str, str, str], name: str, namespace: str) -> int:
        """Return the rules that a resource request passes: ``key`` is group, resource and subresource."""
        unnamed, named = self._targets.get(key) or self._target(key)
        passing = unnamed | (named.get(name, 0) if named else 0)
        return passing & self._by_namespace.get(namespace, self._no_namespaces)

    def by_path(self, path: str) -> int:
        """Return the rules that a non-resource request passes, as bits."""
        passing = self._base_url | self._by_url.get(path, 0)
        for prefix, bits in self._prefixes:
            if path.startswith(prefix):
                passing |= bits
        return passing

    def _target(self, key: tuple[str, str, str]) -> Target:
        group, resource, subresource = key
        request = replace(_NOWHERE, api_group=group, resource=resource, subresource=subresource)
        unnamed = 0
        named: dict[str, int] = {}
        for index, rule in enumerate(self._policy.rules):
            bit = self._on_resources & (1 << index)
            if not rule.resources:
                unnamed |= bit
            for entry in rule.resources:
                if entry.group not in {group, "*"}:
                    continue
                if entry.resources and not any(resource_matches(pattern, request) for pattern in entry.resources):
                    continue
                if not entry.resources or not entry.resource_names:
                    unnamed |= bit
                for name in entry.resource_names if entry.resources else ():
                    named[name] = named.get(name, 0) | bit
        target = (unnamed, named or None)
        if len(self._targets) < _MOST_TARGETS_KEPT:
            self._targets[key] = target
        return target


def _plain(request: Attributes) -> Plain:
    """Return the fields of ``request`` behind its user, in their order."""
    return (
        request.is_resource_request,
        request.verb,
        request.api_group,
        request.api_version,
        request.namespace,
        request.resource,
        request.subresource,
        request.name,
        request.path,
    )


def _bits(rules: Iterable[PolicyRule], holds: Callable[[PolicyRule], bool]) -> int:
    return sum(1 << index for index, rule in enumerate(rules) if holds(rule))


def _table(
    rules: Sequence[PolicyRule], values: Callable[[PolicyRule], tuple[str, ...]], *, alone: bool = False
) -> tuple[int, dict[str, int]]:
    """The rules that do not restrict, and by value the rules that it passes (``alone``: only those that name it)."""
    free = _bits(rules, lambda rule: not values(rule))
    named = dict.fromkeys((value for rule in rules for value in values(rule)), 0 if alone else free)
    for index, rule in enumerate(rules):
        for value in values(rule):
            named[value] |= 1 << index
    return free, named


def _urls(rules: Sequence[PolicyRule], on_urls: int) -> tuple[dict[str, int], tuple[tuple[str, int], ...]]:
    """Return exact paths and prefixes (``*`` is the empty one), each with its rules."""
    exact: dict[str, int] = {}
    prefixes: dict[str, int] = {}
    for index, rule in enumerate(rules):
        bit = on_urls & (1 << index)
        for pattern in rule.non_resource_urls:
            table, key = (prefixes, pattern.rstrip("*")) if pattern.endswith("*") else (exact, pattern)
            table[key] = table.get(key, 0) | bit
    return exact, tuple(prefixes.items())


def _decisions(policy: Policy) -> tuple[Decision, ...]:
    """What each rule decides, asked of ``evaluate`` itself: a policy of that rule alone, for a request it matches."""
    anything = Attributes(user=None, is_resource_request=False, verb="")
    bare = (
        PolicyRule(level=rule.level, omit_stages=rule.omit_stages, omit_managed_fields=rule.omit_managed_fields)
        for rule in policy.rules
    )
    alone = (evaluate(policy._replace(rules=(rule,)), anything) for rule in bare)
    none = evaluate(policy._replace(rules=()), anything)
    return (*(decision._replace(rule=index) for index, decision in enumerate(alone)), none)
