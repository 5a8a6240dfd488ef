"""The request for the receipt: recorded by the policy, told apart from the old one where it can be, never a write that could succeed."""

from __future__ import annotations

import pytest

from auditctl.node.credentials import ANONYMOUS
from auditctl.node.probe import Callers, Probe, choose
from auditctl.policy.load import load
from auditctl.policy.types import Level, Policy, User

ADMIN = User("kubernetes-admin", ("kubeadm:cluster-admins", "system:authenticated"))
EVERYONE = Callers(ANONYMOUS, ADMIN)
HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"


def policy(rules: str, head: str = "") -> Policy:
    loaded = load(f"{HEAD}{head}rules:\n{rules}".encode())
    assert loaded.policy is not None, loaded.error
    return loaded.policy


def chosen(new: Policy, old: Policy | None = None, callers: Callers = EVERYONE) -> Probe:
    probe = choose(new, old, callers, "auditctl-nonce")
    assert probe is not None
    return probe


def test_the_plainest_request_that_is_recorded() -> None:
    """Anonymous, of what everybody may read."""
    probe = chosen(policy("- level: Metadata\n"))

    assert (probe.method, probe.url, probe.with_credentials) == ("GET", "/version", False)
    assert probe.distinguishes is None


def test_a_policy_that_records_one_user_is_asked_as_that_user() -> None:
    """With the kubeconfig's certificate."""
    assert chosen(policy("- level: Metadata\n  users: [kubernetes-admin]\n")).with_credentials


RULES = [
    "- level: Metadata\n  resources: [{group: apps, resources: [deployments]}]\n",
    "- level: Metadata\n  resources: [{group: '', resources: [pods/log]}]\n",
    "- level: Metadata\n  namespaces: [prod]\n  verbs: [delete]\n",
    "- level: Request\n  verbs: [create]\n  resources: [{group: '', resources: [configmaps]}]\n",
    "- level: Metadata\n  verbs: [watch]\n  resources: [{group: '', resources: [nodes]}]\n  namespaces: ['']\n",
    "- level: Metadata\n  verbs: [deletecollection]\n  resources: [{group: '', resources: [secrets]}]\n",
    "- level: Metadata\n  resources: [{group: '', resources: [secrets], resourceNames: [token-1]}]\n",
    "- level: Metadata\n  nonResourceURLs: ['/logs/*']\n",
    "- level: Metadata\n  userGroups: [system:unauthenticated]\n  nonResourceURLs: ['/metrics']\n",
]


@pytest.mark.parametrize("rules", RULES)
def test_a_narrow_policy_is_asked_for_what_it_records(rules: str) -> None:
    """Every kind of rule can be reached; writes and named objects go without credentials, writes as dry runs."""
    probe = chosen(policy(rules))

    assert probe.decision.level is not Level.NONE
    if probe.method != "GET":
        assert not probe.with_credentials
        assert "dryRun=All" in probe.url
    if probe.with_credentials and probe.url.startswith(("/api/v1/", "/apis/")):
        assert "auditctl-nonce" in probe.url


def test_of_two_policies_a_request_is_chosen_that_they_decide_otherwise() -> None:
    """The level differs for one resource alone."""
    old = policy("- level: Metadata\n")
    new = policy("- level: Request\n  resources: [{group: '', resources: [configmaps]}]\n- level: Metadata\n")

    probe = chosen(new, old)

    assert probe.distinguishes is True
    assert "configmaps" in probe.url
    assert probe.decision.level is Level.REQUEST


def test_stages_tell_policies_apart_too() -> None:
    """The same level, one stage fewer."""
    probe = chosen(policy("- level: Metadata\n", "omitStages: [RequestReceived]\n"), policy("- level: Metadata\n"))

    assert probe.distinguishes is True


def test_where_nothing_tells_them_apart_it_is_said() -> None:
    """The same policy twice."""
    same = policy("- level: Metadata\n")

    assert chosen(same, same).distinguishes is False


@pytest.mark.parametrize(
    "rules",
    [
        "- level: None\n",
        "- level: Metadata\n  users: [somebody-else]\n",
        "- level: Metadata\n  omitStages: [RequestReceived, ResponseStarted, ResponseComplete, Panic]\n",
    ],
)
def test_nothing_recordable_is_no_request(rules: str) -> None:
    """None, so that the edit is refused."""
    assert choose(policy(rules), None, EVERYONE, "auditctl-nonce") is None


def test_where_anonymous_requests_are_turned_away_the_decision_is_that_of_a_401() -> None:
    """No user, so a rule with users cannot match; one stage."""
    callers = Callers(None, None)

    assert choose(policy("- level: Metadata\n  users: [system:anonymous]\n"), None, callers, "n") is None
    probe = chosen(policy("- level: Metadata\n"), callers=callers)
    assert [stage.value for stage in probe.stages] == ["ResponseStarted"]
    assert choose(policy("- level: Metadata\n", "omitStages: [ResponseStarted]\n"), None, callers, "n") is None
