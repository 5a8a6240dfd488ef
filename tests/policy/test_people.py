"""The people that a policy names are asked about: what is hidden of one administrator is no secret of the checks."""

from __future__ import annotations

import pytest

from auditctl.operations.policy_files import built_in
from auditctl.policy.lint import warnings
from auditctl.policy.load import load
from auditctl.policy.people import MOST_PEOPLE, named_people
from auditctl.policy.types import Level, PolicyRule, User

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n"


@pytest.mark.parametrize(
    "who",
    [
        "userGroups: [system:masters]",
        "userGroups: [kubeadm:cluster-admins]",
        "users: [kubernetes-admin]",
        "users: [kubernetes-super-admin]",
        "users: [alice]",
        "userGroups: [dev]",
    ],
)
def test_a_rule_that_hides_all_that_somebody_does_is_told(who: str) -> None:
    raw = f"{HEAD}- {{level: None, {who}}}\n- {{level: Metadata}}\n".encode()
    policy = load(raw).policy
    assert policy is not None

    assert [(each.check, each.path) for each in warnings(raw, policy, built_in())] == [("tunnels-unseen", "rules[0]")]


@pytest.mark.parametrize("who", ["userGroups: [system:nodes]", "users: [system:kube-proxy]"])
def test_components_of_the_cluster_are_nobody(who: str) -> None:
    raw = f"{HEAD}- {{level: None, {who}}}\n- {{level: Metadata}}\n".encode()
    policy = load(raw).policy
    assert policy is not None

    assert warnings(raw, policy, built_in()) == ()


def test_each_person_is_named_once_and_their_number_has_a_limit() -> None:
    rules = [PolicyRule(level=Level.NONE, users=("alice", "alice"), user_groups=("dev", "system:authenticated"))]
    assert named_people(rules) == (
        User("alice", ("system:authenticated",)),
        User("auditctl-member", ("dev", "system:authenticated")),
        User("auditctl-member", ("system:authenticated",)),
    )
    many = [PolicyRule(level=Level.NONE, users=(f"user-{number}",)) for number in range(1000)]
    assert len(named_people(many)) == MOST_PEOPLE


def test_rules_that_hide_many_people_are_one_finding() -> None:
    """The gap is one, and so is its fix: a rule for the ways into containers before all of them."""
    rules = "".join(f"- {{level: None, users: [person{number}]}}\n" for number in range(30))
    raw = f"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{rules}- level: Metadata\n".encode()
    policy = load(raw).policy
    assert policy is not None

    found = [each for each in warnings(raw, policy, built_in()) if each.check == "tunnels-unseen"]

    assert [(each.path, each.line) for each in found] == [("rules[0]", 4)]
    assert "(and 29 more rules for other users)" in found[0].message
