"""Decide requests by a policy of any length, without asking every rule about every request.

`evaluate` asks the rules one after the other, as the server does. For thousands of requests and thousands of rules that
takes minutes. Here each rule is listed once, under those of its values that the fewest rules have; a request looks only
at the rules that are listed under one of its own values, and asks them in their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from auditctl.policy.evaluate import evaluate, matches
from auditctl.policy.types import Attributes, Decision, Policy, PolicyRule

Key = tuple[str, ...]

_ANY: Key = ("any",)


class RuleIndex:
    """The rules of one policy, each under values of which a request must have one to match it."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        firsts: dict[tuple[object, ...], int] = {}
        for index, rule in enumerate(policy.rules):
            firsts.setdefault(_selectors(rule), index)  # of rules with equal selectors only the first can decide
        frequency: Counter[Key] = Counter()
        for index in firsts.values():
            for keys in _dimensions(policy.rules[index]):
                frequency.update(keys)
        self._listed: dict[Key, list[int]] = {}
        for index in firsts.values():
            dimensions = _dimensions(policy.rules[index])
            rarest = min(dimensions, key=lambda keys: max(frequency[key] for key in keys), default=(_ANY,))
            for key in dict.fromkeys(rarest):
                self._listed.setdefault(key, []).append(index)

    def decide(self, attributes: Attributes) -> Decision:
        """Return the decision that ``evaluate`` takes for a request."""
        rules = self._policy.rules
        listed = sorted(index for key in _keys_of(attributes) for index in self._listed.get(key, ()))
        first = next((index for index in listed if matches(rules[index], attributes)), -1)
        deciding = self._policy._replace(rules=() if first < 0 else (rules[first],))
        return evaluate(deciding, attributes)._replace(rule=first)


def _selectors(rule: PolicyRule) -> tuple[object, ...]:
    """Everything of a rule that takes part in matching."""
    return rule.users, rule.user_groups, rule.verbs, rule.resources, rule.namespaces, rule.non_resource_urls


def _dimensions(rule: PolicyRule) -> Iterator[tuple[Key, ...]]:
    """Yield for each test of a rule the values that pass it; a test that everything passes has none."""
    if rule.users:
        yield tuple(("user", name) for name in rule.users)
    if rule.user_groups:
        yield tuple(("user group", name) for name in rule.user_groups)
    if rule.verbs:
        yield tuple(("verb", verb) for verb in rule.verbs)
    if rule.namespaces:
        yield tuple(("namespace", name) for name in rule.namespaces)
    if rule.resources:
        yield tuple(
            ("resource", entry.group, pattern) for entry in rule.resources for pattern in entry.resources or ("",)
        )
        if all(entry.resources and entry.resource_names for entry in rule.resources):
            yield tuple(("name", name) for entry in rule.resources for name in entry.resource_names)
    elif rule.non_resource_urls and not rule.namespaces:
        yield tuple(
            ("prefix", url.rstrip("*")) if url.endswith("*") else ("path", url) for url in rule.non_resource_urls
        )


def _keys_of(attributes: Attributes) -> Iterator[Key]:
    """Yield every key under which a rule that matches the request can be listed, each once."""
    yield _ANY
    user = attributes.user
    if user is not None:
        yield ("user", user.name)
        yield from (("user group", name) for name in dict.fromkeys(user.groups))
    yield ("verb", attributes.verb)
    if not attributes.is_resource_request:
        yield ("path", attributes.path)
        yield from (("prefix", attributes.path[:length]) for length in range(len(attributes.path) + 1))
        return
    yield ("namespace", attributes.namespace)
    yield ("name", attributes.name)
    subresource = attributes.subresource
    patterns = ["", "*", f"{attributes.resource}/*"]
    patterns += [f"{attributes.resource}/{subresource}", f"*/{subresource}"] if subresource else [attributes.resource]
    for group in dict.fromkeys((attributes.api_group, "*")):
        yield from (("resource", group, pattern) for pattern in dict.fromkeys(patterns))
