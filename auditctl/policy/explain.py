"""A decision told to a human: which rule took it, why those before it did not, and which of them came nearest.

The tests are those of ``evaluate`` in the order of `checker.go`; here every test is asked, there the first no ends it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from auditctl.policy.evaluate import entry_matches, evaluate, path_matches, resource_matches, stages
from auditctl.policy.types import Attributes, Decision, GroupResources, Policy, PolicyRule, Stage

_TUNNELS = frozenset({"exec", "attach", "portforward"})


class Test(Enum):
    """What a rule asks of a request; the value is the field that asks it."""

    __test__ = False  # not a test of ours, whatever pytest thinks of the name

    USERS = "users"
    USER_GROUPS = "userGroups"
    VERBS = "verbs"
    RESOURCE_REQUEST = "resources or namespaces"
    NAMESPACES = "namespaces"
    GROUP = "resources[].group"
    RESOURCES = "resources[].resources"
    RESOURCE_NAMES = "resources[].resourceNames"
    URL_REQUEST = "nonResourceURLs of a resource request"
    NON_RESOURCE_URLS = "nonResourceURLs"


class Failure(NamedTuple):
    """One test that a request does not pass: what the rule lists, and what the request has."""

    test: Test
    accepted: tuple[str, ...]
    got: tuple[str, ...]

    def __str__(self) -> str:
        got = " or ".join(repr(value) for value in self.got) or "nobody"
        match self.test:
            case Test.RESOURCE_REQUEST:
                return f"the rule is for resources; {got} is not a resource"
            case Test.URL_REQUEST:
                return f"the rule is for non-resource URLs; {got} is a resource"
            case _:
                return f"{self.test.value} [{', '.join(self.accepted)}] does not include {got}"


class Miss(NamedTuple):
    """A rule that does not apply, with every test that failed; the first is the one that the server stopped at."""

    rule: int
    line: int
    failures: tuple[Failure, ...]

    @property
    def first(self) -> Failure:
        return self.failures[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A decision and its reasons.

    ``line`` is that of the deciding rule (0: none, or unknown), ``stages`` those that will be written. ``misses`` are
    the rules before it, or all of them if none decides; ``nearest`` is the one that a single change would make apply,
    and ``hint`` says which change that is.
    """

    attributes: Attributes
    decision: Decision
    line: int
    stages: tuple[Stage, ...]
    misses: tuple[Miss, ...]
    nearest: Miss | None
    hint: str


def explain(policy: Policy, attributes: Attributes) -> Explanation:
    """Return what ``policy`` decides about a request, and why. Without a user it is taken for a 401."""
    decision = evaluate(policy, attributes)
    passed_over = policy.rules if decision.rule < 0 else policy.rules[: decision.rule]
    misses = tuple(Miss(index, rule.line, tuple(failures(rule, attributes))) for index, rule in enumerate(passed_over))
    nearest = next((miss for miss in misses if len(miss.failures) == 1), None)
    return Explanation(
        attributes=attributes,
        decision=decision,
        line=policy.rules[decision.rule].line if decision.rule >= 0 else 0,
        stages=stages(decision, attributes, authenticated=attributes.user is not None),
        misses=misses,
        nearest=nearest,
        hint=_hint(nearest.first, attributes) if nearest else "",
    )


def failures(rule: PolicyRule, attributes: Attributes) -> Iterator[Failure]:
    """Yield the tests of ``rule`` that the request does not pass, in the server's order; none if the rule applies."""
    user = attributes.user
    if rule.users and (user is None or user.name not in rule.users):
        yield Failure(Test.USERS, rule.users, (user.name,) if user else ())
    if rule.user_groups and (user is None or not set(user.groups) & set(rule.user_groups)):
        yield Failure(Test.USER_GROUPS, rule.user_groups, user.groups if user else ())
    if rule.verbs and attributes.verb not in rule.verbs:
        yield Failure(Test.VERBS, rule.verbs, (attributes.verb,))
    if rule.namespaces or rule.resources:
        yield from _resource_failures(rule, attributes)
    elif rule.non_resource_urls:
        yield from _url_failures(rule, attributes)


def _url_failures(rule: PolicyRule, attributes: Attributes) -> Iterator[Failure]:
    if attributes.is_resource_request:
        yield Failure(Test.URL_REQUEST, rule.non_resource_urls, (attributes.path,))
    elif not any(path_matches(attributes.path, pattern) for pattern in rule.non_resource_urls):
        yield Failure(Test.NON_RESOURCE_URLS, rule.non_resource_urls, (attributes.path,))


def _resource_failures(rule: PolicyRule, attributes: Attributes) -> Iterator[Failure]:
    if not attributes.is_resource_request:
        yield Failure(Test.RESOURCE_REQUEST, (), (attributes.path,))
        return
    if rule.namespaces and attributes.namespace not in rule.namespaces:
        yield Failure(Test.NAMESPACES, rule.namespaces, (attributes.namespace,))
    if rule.resources and not any(entry_matches(entry, attributes) for entry in rule.resources):
        yield from _entry_failures(rule.resources, attributes)


def _entry_failures(entries: tuple[GroupResources, ...], attributes: Attributes) -> Iterator[Failure]:
    """Where the entry that came furthest failed: on the group (and the resource), on the resource, or only on the name."""
    resource = "/".join(filter(None, (attributes.resource, attributes.subresource)))
    of_group = [entry for entry in entries if entry.group in {attributes.api_group, "*"}]
    if not of_group:
        yield Failure(Test.GROUP, tuple(entry.group for entry in entries), (attributes.api_group,))
        listed = [entry.resources for entry in entries]
        if all(names and not any(resource_matches(name, attributes) for name in names) for names in listed):
            yield Failure(Test.RESOURCES, tuple(name for names in listed for name in names), (resource,))
        return
    named = [entry for entry in of_group if any(resource_matches(pattern, attributes) for pattern in entry.resources)]
    if named:
        names = tuple(name for entry in named for name in entry.resource_names)
        yield Failure(Test.RESOURCE_NAMES, names, (attributes.name,))
        return
    yield Failure(Test.RESOURCES, tuple(name for entry in of_group for name in entry.resources), (resource,))


def _hint(failure: Failure, attributes: Attributes) -> str:
    """Return what would have to be otherwise for the nearest rule to apply."""
    accepted = " or ".join(repr(value) for value in failure.accepted)
    match failure.test:
        case Test.VERBS if attributes.subresource in _TUNNELS:
            return f"had the verb been {accepted}: kubectl's {attributes.subresource} is a GET over WebSockets, a POST else"
        case Test.VERBS:
            return f"had the verb been {accepted}"
        case Test.USERS | Test.USER_GROUPS:
            return f"had it been asked by {accepted}"
        case Test.NAMESPACES if not attributes.namespace:
            return f"had it been in {accepted}: a request across namespaces is in ''"
        case Test.NAMESPACES:
            return f"had it been in {accepted}"
        case Test.RESOURCE_NAMES if not attributes.name:
            return f"had its name been {accepted}: no name is known before the object is created or listed"
        case Test.RESOURCE_NAMES:
            return f"had its name been {accepted}"
        case Test.GROUP:
            return f"had its API group been {accepted}"
        case Test.RESOURCES | Test.NON_RESOURCE_URLS:
            return f"had it been for {accepted}"
        case Test.RESOURCE_REQUEST | Test.URL_REQUEST:
            return (
                f"had {'a resource' if failure.test is Test.RESOURCE_REQUEST else 'a non-resource URL'} been asked for"
            )
