"""Selectors that match nothing: the words about each, and the rule as it was meant."""

from __future__ import annotations

import pytest

from auditctl.operations.policy_files import built_in
from auditctl.policy.lint import problems
from auditctl.policy.lint_checks import Problem
from auditctl.policy.load import load
from auditctl.policy.types import GroupResources, PolicyRule

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: "


def found(rule: str) -> list[Problem]:
    """What is said of a policy that has this rule and a catch-all."""
    raw = f"{HEAD}[{rule}, {{level: Metadata}}]".encode()
    policy = load(raw).policy
    assert policy is not None
    return list(problems(raw, policy, built_in()))


def meant(rule: str) -> PolicyRule:
    """The rule as it is mended."""
    (problem,) = found(rule)
    assert problem.mending is not None
    assert problem.mending.replacement is not None
    return problem.mending.replacement.rules[0]


@pytest.mark.parametrize(
    ("rule", "fix"),
    [
        ("{level: Request, resources: [{resources: [Pods]}]}", "write 'pods'"),
        ("{level: Request, resources: [{group: apps, resources: [deploy]}]}", "write 'deployments'"),
        ("{level: Request, resources: [{group: batch, resources: [Deployment]}]}", "write 'deployments' in group 'apps'"),
        ("{level: Request, verbs: [post], resources: [{resources: [pods]}]}", "write create"),
        ("{level: Request, verbs: [post], namespaces: [a]}", "write create"),
    ],
)  # fmt: skip
def test_a_selector_is_mended_by_one_word(rule: str, fix: str) -> None:
    (problem,) = found(rule)
    assert problem.fix == fix


def test_a_verb_of_resources_is_not_proposed_for_a_url() -> None:
    (problem,) = found("{level: None, verbs: [exec], nonResourceURLs: [/x]}")
    assert problem.fix.startswith("remove it")


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ("{level: None, namespaces: ['']}", ""),
        ("{level: None, namespaces: [''], resources: [{group: apps}]}", ""),
        ("{level: None, namespaces: [''], resources: [{resources: [nodes]}, {group: apps}]}", ""),
        ("{level: None, namespaces: [''], resources: [{resources: [nodes, pods, pods/log, secrets]}]}", "of pods, secrets "),
    ],
)  # fmt: skip
def test_what_no_namespace_leaves_is_named(rule: str, named: str) -> None:
    (problem,) = [each for each in found(rule) if each.check == "only-no-namespace"]
    assert problem.message == f'[""] alone leaves {named}only what is in no namespace, and lists across all of them'


def test_names_without_verbs_are_for_requests_that_have_one() -> None:
    assert found("{level: Request, resources: [{resources: [pods], resourceNames: [a]}]}") == []


def test_a_pattern_alone_is_meant_for_all_and_one_among_others_for_one_more() -> None:
    assert meant("{level: None, namespaces: ['*']}").namespaces == ()
    assert meant("{level: None, namespaces: [a, 'kube-*']}").namespaces == ("a", "kube-*", "kube-")


def test_a_resource_is_added_to_its_own_group_and_takes_an_entry_with_it_to_another() -> None:
    own = meant("{level: None, resources: [{resources: [pods, svc]}]}")
    assert own.resources == (GroupResources("", ("pods", "svc", "services")),)
    other = meant("{level: None, resources: [{resources: [pods, deployments]}]}")
    assert other.resources == (GroupResources("apps", ("deployments",)),)


def test_a_rule_without_namespaces_may_name_what_has_one_and_what_has_none() -> None:
    assert found("{level: Request, resources: [{resources: [nodes, pods]}]}") == []
