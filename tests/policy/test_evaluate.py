"""Which rule decides: `checker.go`, a test for every test of a rule."""

from __future__ import annotations

import pytest

from auditctl.policy.evaluate import evaluate, is_long_running, matches, path_matches, resource_matches, stages
from auditctl.policy.request import attributes
from auditctl.policy.shorthand import parse
from auditctl.policy.types import GroupResources, Level, Policy, PolicyRule, Stage


def rule(**fields: object) -> PolicyRule:
    return PolicyRule(level=Level.METADATA, **fields)  # type: ignore[arg-type]


CORE_PODS = (GroupResources("", ("pods",)),)


@pytest.mark.parametrize(
    ("selector", "request_text", "applies"),
    [
        ({}, "get pods", True),
        ({}, "GET /healthz", True),
        ({"users": ("alice",)}, "get pods by alice", True),
        ({"users": ("bob", "alice")}, "get pods by alice", True),
        ({"users": ("alice",)}, "get pods by bob", False),
        ({"users": ("*",)}, "get pods by bob", False),
        ({"user_groups": ("dev",)}, "get pods by bob of ops dev", True),
        ({"user_groups": ("dev",)}, "get pods by bob of ops", False),
        ({"verbs": ("get", "list")}, "list pods", True),
        ({"verbs": ("get",)}, "list pods", False),
        ({"verbs": ("*",)}, "list pods", False),
        ({"verbs": ("get",)}, "GET /healthz", True),
        ({"namespaces": ("test",)}, "get pods in test", True),
        ({"namespaces": ("test",)}, "get pods in other", False),
        ({"namespaces": ("",)}, "list pods", True),
        ({"namespaces": ("",)}, "GET /healthz", False),
        ({"resources": CORE_PODS}, "get pods", True),
        ({"resources": CORE_PODS}, "get secrets", False),
        ({"resources": CORE_PODS}, "GET /healthz", False),
        ({"resources": CORE_PODS}, "get pods.metrics.k8s.io", False),
        ({"resources": (GroupResources("*", ("pods",)),)}, "get pods.metrics.k8s.io", True),
        ({"resources": (GroupResources("apps"), *CORE_PODS)}, "get pods", True),
        ({"resources": (GroupResources(),)}, "get pods/exec web in test", True),
        ({"resources": (GroupResources(),)}, "get deployments.apps", False),
        ({"resources": (GroupResources("", ("pods",), ("web",)),)}, "get pods web in test", True),
        ({"resources": (GroupResources("", ("pods",), ("web",)),)}, "get pods db in test", False),
        ({"resources": (GroupResources("", ("pods",), ("web",)),)}, "create pods in test", False),
        ({"resources": CORE_PODS, "namespaces": ("test",)}, "get pods in test", True),
        ({"resources": CORE_PODS, "namespaces": ("test",)}, "get pods in other", False),
        ({"resources": CORE_PODS, "namespaces": ("test",)}, "get secrets in test", False),
        ({"non_resource_urls": ("/healthz",)}, "GET /healthz", True),
        ({"non_resource_urls": ("/x", "/healthz*")}, "GET /healthz/ping", True),
        ({"non_resource_urls": ("/healthz",)}, "GET /healthz/", False),
        ({"non_resource_urls": ("*",)}, "get pods", False),
        ({"non_resource_urls": ("/api*",)}, "get pods", False),
    ],
)
def test_a_rule_applies_to_a_request(selector: dict[str, object], request_text: str, applies: bool) -> None:
    assert matches(rule(**selector), parse(request_text)) is applies


@pytest.mark.parametrize("selector", [{"users": ("",)}, {"user_groups": ("system:authenticated",)}])
def test_a_rule_for_users_does_not_apply_where_there_is_none(selector: dict[str, object]) -> None:
    nobody = attributes("GET", "/api/v1/pods", None)
    assert not matches(rule(**selector), nobody)
    assert matches(rule(), nobody)


@pytest.mark.parametrize(
    ("pattern", "request_text", "covers"),
    [
        ("pods", "get pods web", True),
        ("pods", "get pods/log web", False),
        ("pods/log", "get pods/log web", True),
        ("pods/log", "get pods web", False),
        ("pods/log", "get pods/exec web", False),
        ("*", "get pods/log web", True),
        ("pods/*", "get pods web", True),
        ("pods/*", "get pods/log web", True),
        ("pods/*", "get podsecurity web", False),
        ("*/scale", "get deployments/scale web", True),
        ("*/scale", "get deployments/status web", False),
        ("*/scale", "get scale web", False),
        ("*/", "get pods web", False),
        ("*/*", "get pods/log web", False),
        ("po*", "get pods web", False),
        ("", "get pods web", False),
    ],
)
def test_a_resource_string_covers_a_request(pattern: str, request_text: str, covers: bool) -> None:
    assert resource_matches(pattern, parse(request_text)) is covers


@pytest.mark.parametrize(
    ("pattern", "path", "covers"),
    [("*", "/x", True), ("/x", "/x", True), ("/x*", "/xy", True), ("/x*", "/y", False), ("/x", "/xy", False)],
)
def test_a_url_pattern_covers_a_path(pattern: str, path: str, covers: bool) -> None:
    assert path_matches(path, pattern) is covers


POLICY = Policy(
    rules=(
        PolicyRule(level=Level.NONE, users=("quiet",), omit_managed_fields=False),
        PolicyRule(level=Level.REQUEST, users=("loud",), omit_stages=(Stage.PANIC, Stage.REQUEST_RECEIVED)),
        PolicyRule(level=Level.METADATA, users=("loud", "quiet")),
    ),
    omit_stages=(Stage.RESPONSE_STARTED, Stage.REQUEST_RECEIVED),
    omit_managed_fields=True,
)


def test_the_first_rule_that_applies_decides() -> None:
    decision = evaluate(POLICY, parse("get pods by loud"))
    assert (decision.level, decision.rule) == (Level.REQUEST, 1)


def test_stages_of_policy_and_rule_are_joined_by_name() -> None:
    expected = (Stage.PANIC, Stage.REQUEST_RECEIVED, Stage.RESPONSE_STARTED)
    assert evaluate(POLICY, parse("get pods by loud")).omit_stages == expected


def test_a_rule_s_own_managed_fields_setting_wins_even_if_it_is_false() -> None:
    assert evaluate(POLICY, parse("get pods by quiet")).omit_managed_fields is False
    assert evaluate(POLICY, parse("get pods by loud")).omit_managed_fields is True


def test_no_rule_is_level_none_with_what_the_policy_says() -> None:
    decision = evaluate(POLICY, parse("get pods by alice"))
    assert (decision.level, decision.rule, decision.omit_managed_fields) == (Level.NONE, -1, True)
    assert decision.omit_stages == (Stage.REQUEST_RECEIVED, Stage.RESPONSE_STARTED)


@pytest.mark.parametrize(
    ("request_text", "long"),
    [
        ("watch pods", True),
        ("get pods/log web", True),
        ("create pods/exec web", True),
        ("get pods/attach web", True),
        ("get pods/portforward web", True),
        ("get nodes/proxy web", True),
        ("GET /api/v1/proxy/nodes/n", True),
        ("get pods/status web", False),
        ("get pods", False),
        ("GET /debug/pprof/profile", True),
        ("GET /debug/pprof", False),
        ("GET /logs", False),
    ],
)
def test_a_request_is_long_running(request_text: str, long: bool) -> None:
    assert is_long_running(parse(request_text)) is long


RECEIVED, STARTED, COMPLETE = Stage.REQUEST_RECEIVED, Stage.RESPONSE_STARTED, Stage.RESPONSE_COMPLETE


@pytest.mark.parametrize(
    ("request_text", "omitted", "authenticated", "written"),
    [
        ("get pods", (), True, (RECEIVED, COMPLETE)),
        ("watch pods", (), True, (RECEIVED, STARTED, COMPLETE)),
        ("get pods", (RECEIVED,), True, (COMPLETE,)),
        ("watch pods", (RECEIVED, COMPLETE), True, (STARTED,)),
        ("get pods", (), False, (STARTED,)),
        ("get pods", (STARTED,), False, ()),
    ],
)
def test_the_stages_that_are_written(
    request_text: str, omitted: tuple[Stage, ...], authenticated: bool, written: tuple[Stage, ...]
) -> None:
    found = parse(request_text)
    decision = evaluate(Policy((PolicyRule(level=Level.METADATA),), omitted), found)
    assert stages(decision, found, authenticated=authenticated) == written


def test_level_none_writes_nothing() -> None:
    found = parse("get pods")
    assert stages(evaluate(Policy(()), found), found) == ()


def test_levels_are_ordered() -> None:
    assert sorted(Level, reverse=True) == [Level.REQUEST_RESPONSE, Level.REQUEST, Level.METADATA, Level.NONE]
    assert Level.NONE <= Level.NONE < Level.METADATA
    assert Level.REQUEST >= Level.REQUEST > Level.METADATA
