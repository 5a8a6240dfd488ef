"""Every set of rules that a request can pass has a witness, and no witness is a request that nobody can make."""

from __future__ import annotations

import pytest

from auditctl.policy.compare import first_difference
from auditctl.policy.load import load
from auditctl.policy.request_classes import FRESH, RequestClass, regions
from auditctl.policy.types import Policy

NODES = frozenset({("", "nodes")})


def policy(rules: str) -> Policy:
    """The policy with these rules, as YAML."""
    loaded = load(f"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: {rules}".encode()).policy
    assert loaded is not None
    return loaded


def regions_of(rules: str) -> tuple[RequestClass, ...]:
    return regions(policy(rules).rules, NODES)


def sets_of(rules: str) -> set[int]:
    """The sets of rules, as bits."""
    return {region.rules for region in regions_of(rules)}


def test_a_failed_authentication_is_a_request_too() -> None:
    groups = "userGroups: ['system:authenticated', 'system:unauthenticated']"
    difference = first_difference(
        policy("[{level: None}]"), policy(f"[{{level: None, {groups}}}, {{level: Metadata}}]")
    )
    assert difference is not None
    assert difference.attributes.user is None


def test_a_user_may_be_in_some_of_the_groups_and_not_in_others() -> None:
    assert sets_of(f"[{', '.join(f'{{level: None, userGroups: [g{i}]}}' for i in range(4))}]") == set(range(16))


@pytest.mark.parametrize(
    ("rules", "passed"),
    [
        ("[{level: None, userGroups: [dev, 'system:serviceaccounts:a']}, {level: None, userGroups: ['system:serviceaccounts']}]", 0b11),
        ("[{level: None, verbs: [get], namespaces: ['', a]}]", 0b1),
        ("[{level: None, namespaces: ['', a], resources: [{resources: [nodes], resourceNames: [worker]}]}]", 0b1),
        ("[{level: None, verbs: [create], resources: [{resources: [pods/exec], resourceNames: [web]}]}]", 0b1),
        ("[{level: None, verbs: [list], resources: [{resources: [pods], resourceNames: [web]}]}]", 0b1),
        ("[{level: None, verbs: [options], nonResourceURLs: ['*']}]", 0b1),
        ("[{level: None, resources: [{resources: [secrets]}]}]", 0b1),
        ("[{level: None, resources: [{resources: [configmaps/status]}]}]", 0b1),
        ("[{level: None, resources: [{resources: ['*/scale']}]}, {level: None, resources: [{resources: ['*/status']}]}]", 0b10),
        ("[{level: None, namespaces: [a], resources: [{resources: [namespaces], resourceNames: [a]}]}]", 0b1),
    ],
)  # fmt: skip
def test_a_set_of_rules_that_a_request_can_pass_has_a_region(rules: str, passed: int) -> None:
    assert passed in sets_of(rules)


@pytest.mark.parametrize(
    "rule",
    [
        "{level: None, users: ['system:serviceaccount:a:b'], userGroups: [dev]}",
        "{level: None, users: ['system:anonymous'], userGroups: ['system:authenticated']}",
        "{level: None, users: ['system:anonymous'], userGroups: [dev]}",
        "{level: None, users: [dev], userGroups: ['system:unauthenticated']}",
        "{level: None, users: [dev], userGroups: ['system:serviceaccounts:a']}",
        "{level: None, namespaces: [default], resources: [{resources: [nodes]}]}",
        "{level: None, namespaces: [''], verbs: [get], resources: [{resources: [pods]}]}",
        "{level: None, namespaces: [a], resources: [{resources: [namespaces], resourceNames: [b]}]}",
        "{level: None, verbs: [create], resources: [{resources: [pods], resourceNames: [web]}]}",
        "{level: None, verbs: [get], resources: [{resources: [pods], resourceNames: ['']}]}",
        "{level: None, verbs: [list], nonResourceURLs: ['*']}",
        "{level: None, resources: [{resources: ['']}]}",
        "{level: None, resources: [{resources: ['*/*']}]}",
        "{level: None, resources: [{resources: [pods/log], resourceNames: ['']}]}",
    ],
)
def test_a_rule_that_no_request_can_pass_has_none(rule: str) -> None:
    assert all(not region.rules for region in regions_of(f"[{rule}]"))


def test_no_request_has_a_star_for_its_subresource() -> None:
    rules = "[{level: None, resources: [{resources: ['*/*']}]}, {level: None, resources: [{resources: [pods/*]}]}]"
    assert sets_of(rules) == {0b00, 0b10}


def test_a_witness_is_a_request_that_a_client_could_send() -> None:
    found = regions_of(
        "[{level: None, resources: [{group: apps, resources: [deployments], resourceNames: [a]}]},"
        " {level: None, resources: [{group: ''}]}, {level: None, resources: [{group: '*', resources: ['*', '*/scale']}]},"
        " {level: None, nonResourceURLs: ['/x*']}, {level: None, nonResourceURLs: ['/y']}]"
    )
    assert "/apis/apps/v1/deployments/a" in {region.witness.path for region in found}
    for region in found:
        asked = region.witness
        assert "*" not in asked.path + asked.api_group + asked.resource + asked.subresource
        assert asked.path.startswith(f"/apis/{asked.api_group}/" if asked.api_group else "/")
        assert asked.name or not asked.subresource


def test_one_witness_stands_for_all_that_the_same_rules_pass() -> None:
    found = regions_of(f"[{{level: None, users: [a, b, {FRESH}x], verbs: [get]}}, {{level: None, namespaces: [a, b]}}]")
    assert len({region.rules for region in found}) == len(found)


def test_no_request_has_a_star_for_its_group() -> None:
    found = regions_of("[{level: None, resources: [{group: ''}]}, {level: None, resources: [{group: '*'}]}]")
    assert "*" not in {region.witness.api_group for region in found}
