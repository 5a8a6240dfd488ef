"""URLs of resources, users in the wrong list, groups cut short, sessions without a start: each with what was meant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from auditctl.operations.policy_files import built_in
from auditctl.policy.compare import outcome
from auditctl.policy.evaluate import evaluate
from auditctl.policy.lint import problems
from auditctl.policy.lint_checks import Problem
from auditctl.policy.load import load
from auditctl.policy.types import PolicyRule

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"


def found(rules: str, check: str, before: str = "") -> list[Problem]:
    """What one check says; each is proved by a request that the policy and the mended one decide otherwise."""
    raw = f"{HEAD}{before}rules: [{rules}, {{level: Metadata}}]".encode()
    policy = load(raw).policy
    assert policy is not None
    told = [each for each in problems(raw, policy, built_in()) if each.check == check]
    for each in told:
        assert each.request is not None
        assert each.mending is not None
        assert outcome(evaluate(policy, each.request)) != outcome(evaluate(each.mending.apply(policy), each.request))
    return told


def meant(problem: Problem) -> PolicyRule:
    """The rule as it was meant; it stands in the place of the wrong one."""
    assert problem.mending is not None
    assert problem.mending.replacement is not None
    return replace(problem.mending.replacement.rules[0], line=0)


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("/api/v1/pods", "resources: group '', resources [pods]"),
        ("/api/v1/pods*", "resources: group '', resources [pods]"),
        ("/api/v1/pods/*", "resources: group '', resources [pods]"),
        ("/api/v1/*", "resources: group ''"),
        ("/api/v1/namespaces/prod/secrets/db", "resources: group '', resources [secrets] and namespaces [prod]"),
        ("/api/v1/namespaces/prod", "resources: group '', resources [namespaces] and namespaces [prod]"),
        ("/apis/apps/v1/namespaces/*", "resources: group 'apps'"),
        ("/apis/apps/v1/*", "resources: group 'apps'"),
        ("/apis/flux.example/v1/things", "resources: group 'flux.example', resources [things]"),
    ],
)
def test_the_url_of_a_resource_never_matches(url: str, fix: str) -> None:
    (problem,) = found(f"{{level: None, nonResourceURLs: ['/healthz', '{url}']}}", "resource-url")
    assert problem.path == "rules[0].nonResourceURLs[1]"
    assert problem.fix == f"make a rule of its own for it, with {fix} instead of nonResourceURLs"
    assert meant(problem).level.value == "None"
    assert problem.request is not None
    assert problem.request.is_resource_request


@pytest.mark.parametrize(
    "url",
    [
        "/api",
        "/api*",
        "/api/*",
        "/api/v1",
        "/api/v1*",
        "/apis/*",
        "/apis/apps",
        "/apis/apps/*",
        "/apis/apps/v1",
        "*",
        "/apis/apps/v1*",
        "/healthz/a/b/c",
        "/openapi/v3/apis/apps/v1",
        "/apiserver/a/b",
        "/version/",
    ],
)
def test_a_url_of_discovery_is_none_of_a_resource(url: str) -> None:
    assert found(f"{{level: None, nonResourceURLs: ['{url}']}}", "resource-url") == []


@pytest.mark.parametrize(
    ("field", "value", "fix"),
    [
        ("users", "system:serviceaccounts", "put it into userGroups"),
        ("users", "system:serviceaccounts:kube-system", "put it into userGroups"),
        ("users", "system:nodes", "put it into userGroups"),
        ("users", "system:serviceaccount:ci", "put system:serviceaccounts:ci into userGroups, or add the name"),
        ("users", "serviceaccount:ci:builder", "write system:serviceaccount:ci:builder"),
        ("users", "system:serviceaccount:ci/builder", "write system:serviceaccount:ci:builder"),
        ("users", "system:serviceaccounts:ci:builder", "write system:serviceaccount:ci:builder"),
        ("userGroups", "system:serviceaccount:ci:builder", "put system:serviceaccount:ci:builder into users"),
        ("userGroups", "system:serviceaccount:ci", "write system:serviceaccounts:ci"),
        ("userGroups", "system:kube-scheduler", "put system:kube-scheduler into users"),
    ],
)
def test_a_user_or_a_group_in_another_form_is_named_as_the_server_names_it(field: str, value: str, fix: str) -> None:
    (problem,) = found(f"{{level: None, {field}: ['{value}']}}", "wrong-user")
    assert (problem.path, problem.fix) == (f"rules[0].{field}[0]", fix)
    names_a_user = "system:serviceaccount:" in fix or "into users" in fix
    assert (bool(meant(problem).users), bool(meant(problem).user_groups)) == (names_a_user, not names_a_user)


@pytest.mark.parametrize(
    "rule",
    [
        "users: ['system:serviceaccount:ci:builder', 'system:node:worker', alice, 'oidc:bob', 'system:anonymous']",
        "userGroups: ['system:serviceaccounts:ci', 'system:serviceaccounts', 'system:nodes', devs, 'oidc:team/a']",
        "users: ['system:serviceaccount:ci:*']",
    ],
)
def test_names_as_the_server_makes_them_are_left_alone(rule: str) -> None:
    assert found(f"{{level: None, {rule}}}", "wrong-user") == []


@pytest.mark.parametrize(
    ("group", "whole"),
    [
        ("rbac", "rbac.authorization.k8s.io"),
        ("rbac.k8s.io", "rbac.authorization.k8s.io"),
        ("networking", "networking.k8s.io"),
        ("coordination", "coordination.k8s.io"),
        ("flowcontrol.k8s.io", "flowcontrol.apiserver.k8s.io"),
    ],
)
def test_a_group_cut_short_is_named_in_full(group: str, whole: str) -> None:
    (problem,) = found(f"{{level: None, resources: [{{group: {group}}}]}}", "wrong-group")
    assert (problem.path, problem.fix) == ("rules[0].resources[0].group", f"write {whole}")
    assert [entry.group for entry in meant(problem).resources] == [whole]


@pytest.mark.parametrize(
    "group", ["apps", "networking.istio.io", "gateway.networking.k8s.io", "metrics.k8s.io", "rbacs"]
)
def test_a_group_of_somebody_else_is_left_alone(group: str) -> None:
    assert found(f"{{level: None, resources: [{{group: {group}}}]}}", "wrong-group") == []


def test_a_session_whose_start_is_omitted_is_told_where_a_rule_omits_it() -> None:
    (problem,) = found(
        "{level: Request, verbs: [get], omitStages: [RequestReceived, ResponseStarted]}", "start-omitted"
    )
    assert problem.path == "rules[0].omitStages"
    assert problem.request is not None
    assert (problem.request.verb, problem.request.subresource) == ("get", "exec")


@pytest.mark.parametrize(
    "rule",
    [
        "{level: Metadata, verbs: [watch], omitStages: [ResponseStarted]}",
        "{level: None, omitStages: [ResponseStarted]}",
        "{level: Metadata, omitStages: [RequestReceived]}",
        "{level: Metadata, resources: [{group: apps}], omitStages: [ResponseStarted]}",
    ],
)
def test_the_start_of_a_watch_may_be_omitted(rule: str) -> None:
    """That halves the events of watches, and the event at the end says all."""
    assert found(rule, "start-omitted") == []


def test_the_start_that_the_policy_omits_is_told_of_the_policy() -> None:
    before = "omitStages: [ResponseStarted]\n"
    assert found("{level: Metadata, omitStages: [ResponseStarted]}", "start-omitted", before) == []


@pytest.mark.parametrize(("url", "path"), [("/metrics?x=1", "/metrics"), ("/version#top", "/version")])
def test_a_url_with_a_query_is_told_to_be_its_path(url: str, path: str) -> None:
    (problem,) = found(f"{{level: None, nonResourceURLs: ['{url}']}}", "resource-url")
    assert (problem.path, problem.fix) == ("rules[0].nonResourceURLs[0]", f"write {path}")
