"""Why a rule does not apply, and which came nearest."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from auditctl.policy.evaluate import matches
from auditctl.policy.explain import Test, explain, failures
from auditctl.policy.load import load
from auditctl.policy.request import attributes
from auditctl.policy.shorthand import parse
from auditctl.policy.types import GroupResources, Level, Policy, PolicyRule, Stage, User

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "policy" / "decisions.jsonl.gz"


def rule(**fields: object) -> PolicyRule:
    return PolicyRule(level=Level.NONE, **fields)  # type: ignore[arg-type]


PODS = (GroupResources("apps", ("deployments",)), GroupResources("", ("pods", "pods/exec"), ("web",)))


@pytest.mark.parametrize(
    ("selector", "request_text", "told"),
    [
        ({"users": ("alice",)}, "get pods by bob", "users [alice] does not include 'bob'"),
        ({"user_groups": ("dev",)}, "get pods by bob of a b", "userGroups [dev] does not include 'a' or 'b'"),
        ({"verbs": ("get", "list")}, "watch pods", "verbs [get, list] does not include 'watch'"),
        ({"namespaces": ("test",)}, "list pods", "namespaces [test] does not include ''"),
        ({"namespaces": ("test",)}, "GET /healthz", "the rule is for resources; '/healthz' is not a resource"),
        ({"resources": PODS}, "get leases.coordination.k8s.io", "resources[].group [apps, ] does not include 'coordination.k8s.io'"),
        ({"resources": PODS}, "get pods/log web", "resources[].resources [pods, pods/exec] does not include 'pods/log'"),
        ({"resources": PODS}, "get pods db", "resources[].resourceNames [web] does not include 'db'"),
        ({"non_resource_urls": ("/x*",)}, "GET /healthz", "nonResourceURLs [/x*] does not include '/healthz'"),
        ({"non_resource_urls": ("/x*",)}, "get pods", "the rule is for non-resource URLs; '/api/v1/pods' is a resource"),
    ],
)  # fmt: skip
def test_the_test_that_failed_is_told(selector: dict[str, object], request_text: str, told: str) -> None:
    (miss,) = explain(Policy((rule(**selector),)), parse(request_text)).misses
    assert str(miss.first) == told


def test_nobody_is_told_as_nobody() -> None:
    nobody = attributes("GET", "/healthz", None)
    (miss,) = explain(Policy((rule(users=("a",), user_groups=("b",)),)), nobody).misses
    assert [str(failure) for failure in miss.failures] == [
        "users [a] does not include nobody",
        "userGroups [b] does not include nobody",
    ]


def test_the_deciding_rule_ends_the_story() -> None:
    text = b"apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n"
    text += b"- {level: None, verbs: [create], users: [bob]}\n- {level: None, verbs: [create]}\n"
    text += b"- level: Request\n- level: None\n"
    policy = load(text).policy
    assert policy is not None
    told = explain(policy, parse("get pods/exec web in test"))
    assert (told.decision.level, told.decision.rule, told.line) == (Level.REQUEST, 2, 7)
    assert told.stages == (Stage.RESPONSE_STARTED, Stage.RESPONSE_COMPLETE)
    assert [(miss.rule, miss.line, miss.first.test) for miss in told.misses] == [(0, 5, Test.USERS), (1, 6, Test.VERBS)]
    assert told.nearest == told.misses[1]
    assert told.hint == "had the verb been 'create': kubectl's exec is a GET over WebSockets, a POST else"


def test_where_no_rule_decides_all_are_told() -> None:
    told = explain(Policy((rule(users=("a",)), rule(users=("b",), verbs=("x",)))), parse("get pods"))
    assert (told.decision.rule, told.line, told.stages, len(told.misses)) == (-1, 0, (), 2)
    assert told.nearest == told.misses[0]


def test_nothing_is_near_where_every_rule_fails_twice() -> None:
    told = explain(Policy((rule(users=("b",), verbs=("x",)),)), parse("get pods"))
    assert (told.nearest, told.hint) == (None, "")


@pytest.mark.parametrize(
    ("selector", "request_text", "hint"),
    [
        ({"verbs": ("get",)}, "list pods", "had the verb been 'get'"),
        ({"users": ("a", "b")}, "list pods", "had it been asked by 'a' or 'b'"),
        ({"namespaces": ("a",)}, "list pods", "had it been in 'a': a request across namespaces is in ''"),
        ({"namespaces": ("a",)}, "list pods in b", "had it been in 'a'"),
        ({"resources": PODS}, "create pods", "had its name been 'web': no name is known before the object is created or listed"),
        ({"resources": PODS}, "get pods db", "had its name been 'web'"),
        ({"resources": PODS}, "get pods.x web", "had its API group been 'apps' or ''"),
        ({"resources": PODS}, "get pods/log web", "had it been for 'pods' or 'pods/exec'"),
        ({"resources": PODS}, "GET /x", "had a resource been asked for"),
        ({"non_resource_urls": ("/x",)}, "get pods", "had a non-resource URL been asked for"),
    ],
)  # fmt: skip
def test_the_nearest_miss_says_what_was_missing(selector: dict[str, object], request_text: str, hint: str) -> None:
    assert explain(Policy((rule(**selector),)), parse(request_text)).hint == hint


def test_a_401_is_told_with_its_one_stage() -> None:
    told = explain(Policy((PolicyRule(level=Level.METADATA),)), attributes("GET", "/version", None))
    assert told.stages == (Stage.RESPONSE_STARTED,)


def test_explanation_and_decision_agree_on_every_recorded_request() -> None:
    for line in gzip.decompress(GOLDEN.read_bytes()).splitlines()[::4]:
        case = json.loads(line)
        policy = load(json.dumps(case["policy"]).encode()).policy
        assert policy is not None
        for request in case["requests"]:
            user = User(request["user"], tuple(request["groups"] or ()))
            found = attributes(request["method"], request["url"], user)
            assert [not list(failures(each, found)) for each in policy.rules] == [
                matches(each, found) for each in policy.rules
            ]
