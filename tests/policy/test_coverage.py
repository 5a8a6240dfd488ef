"""Which detections can fire under a policy, the least change that feeds them, and the policy that feeds them all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditctl import facts
from auditctl.policy.coverage import Coverage, State, coverage, least_change
from auditctl.policy.detections import Detection, read_detections
from auditctl.policy.evaluate import evaluate
from auditctl.policy.load import load
from auditctl.policy.rule_yaml import rule_lines
from auditctl.policy.shorthand import parse
from auditctl.policy.types import GroupResources, Level, Policy, PolicyRule, Stage

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
SHIPPED = read_detections((TEMPLATES / "detections.yaml").read_bytes())
LOWER = {level: lower for lower, level in zip(Level, list(Level)[1:], strict=False)}


def policy(rules: str, before: str = "") -> Policy:
    loaded = load(f"{HEAD}{before}rules: {rules}\n".encode())
    assert loaded.policy is not None, loaded.error
    return loaded.policy


def shipped(name: str) -> Policy:
    loaded = load(facts.policy_text(name).encode()).policy
    assert loaded is not None
    return loaded


def detection(fields: str) -> Detection:
    (one,) = read_detections(f"sets: [{{set: mine, detections: [{{name: a, {fields}}}]}}]".encode())
    return one


def judged(rules: str, fields: str, before: str = "") -> Coverage:
    (one,) = coverage(policy(rules, before), [detection(fields)])
    return one


PODS = "level: Request, requests: [create pods in prod by alice]"


@pytest.mark.parametrize(
    ("rules", "fields", "state"),
    [
        ("[{level: Request}]", PODS, State.FED),
        ("[{level: RequestResponse}]", PODS, State.FED),
        ("[{level: Metadata}]", PODS, State.BLIND),
        ("[{level: RequestResponse}]", f"{PODS}, exact: true", State.BLIND),
        ("[{level: Metadata, verbs: [get]}]", PODS, State.BLIND),
        (
            "[{level: None, verbs: [list]}, {level: Metadata}]",
            "level: Metadata, requests: [list pods, get pods]",
            State.PARTIAL,
        ),
        (
            "[{level: None, verbs: [list]}, {level: Metadata}]",
            "level: Metadata, needed: 2, requests: [list pods, get pods]",
            State.BLIND,
        ),
    ],
)
def test_a_detection_fires_where_enough_of_its_requests_are_recorded(rules: str, fields: str, state: State) -> None:
    assert judged(rules, fields).state is state


def test_a_stage_that_is_never_written_is_a_reason() -> None:
    shell = "level: Metadata, stages: [ResponseStarted], requests: [get pods/exec web in prod]"
    one = judged("[{level: Metadata, omitStages: [ResponseStarted]}]", shell)
    assert one.state is State.BLIND
    assert [(miss.level, miss.stages, miss.line) for miss in one.misses] == [(False, (Stage.RESPONSE_STARTED,), 3)]
    # a list is over at once: it has no such stage, under no policy
    listing = shell.replace("get pods/exec web", "list pods")
    assert judged("[{level: Metadata}]", listing).state is State.BLIND


def test_the_deciding_rule_is_repeated_for_what_the_detection_reads() -> None:
    """Other users, other verbs and what rules before it decide stay as they are."""
    before = policy(
        "[{level: None, userGroups: [system:nodes]}, {level: Metadata, namespaces: [prod]}, {level: RequestResponse}]"
    )
    change = least_change(before, coverage(before, [detection(PODS)]))
    assert change is not None
    ((place, (rule,)),) = change.insertions
    assert place == 1
    assert rule_lines(rule) == (
        "- level: Request",
        "  verbs:",
        "  - create",
        "  namespaces:",
        "  - prod",
        "  resources:",
        '  - group: ""',
        "    resources:",
        "    - pods",
    )
    assert change.unfed == ()
    for request, level in (
        ("create pods in prod by alice", Level.REQUEST),
        ("create pods in prod by system:node:worker", Level.NONE),
        ("create pods in dev by alice", Level.REQUEST_RESPONSE),
        ("get pods web in prod by alice", Level.METADATA),
    ):
        assert evaluate(change.policy, parse(request)).level is level


def test_a_stage_comes_back_where_it_was_omitted() -> None:
    shell = detection("level: Metadata, stages: [ResponseStarted], requests: [get pods/exec web in prod]")
    by_rule = policy("[{level: Metadata, omitStages: [RequestReceived, ResponseStarted]}]")
    change = least_change(by_rule, coverage(by_rule, [shell]))
    assert change is not None
    assert change.restored == ()
    assert change.insertions[0].rules[0].omit_stages == (Stage.REQUEST_RECEIVED,)
    assert change.unfed == ()

    by_policy = policy("[{level: Metadata}]", "omitStages: [RequestReceived, ResponseStarted]\n")
    change = least_change(by_policy, coverage(by_policy, [shell]))
    assert change is not None
    assert change.restored == (Stage.RESPONSE_STARTED,)
    assert change.policy.omit_stages == (Stage.REQUEST_RECEIVED,)
    assert change.unfed == ()


def test_a_level_that_is_high_enough_stays_where_only_the_stage_is_missing() -> None:
    shell = detection("level: Metadata, stages: [ResponseStarted], requests: [get pods/exec web in prod]")
    before = policy("[{level: RequestResponse, omitStages: [ResponseStarted]}]")
    change = least_change(before, coverage(before, [shell]))
    assert change is not None
    assert [rule.level for rule in change.insertions[0].rules] == [Level.REQUEST_RESPONSE]


def test_what_is_fed_today_stays_fed() -> None:
    """The other detection compares the level: it is left as it is, not fed at the expense of the first."""
    only, body = detection(f"{PODS}, exact: true"), detection(PODS.replace("Request,", "RequestResponse,", 1))
    before = policy("[{level: RequestResponse}]")
    change = least_change(before, coverage(before, [only, body]))
    assert change is not None
    assert (change.insertions, [each.detection for each in change.unfed]) == ((), [only])


def test_two_that_need_two_levels_of_one_request_cannot_both_be_fed() -> None:
    only, body = detection(f"{PODS}, exact: true"), detection(PODS.replace("Request,", "RequestResponse,", 1))
    before = policy("[{level: Metadata}]")
    change = least_change(before, coverage(before, [only, body]))
    assert change is not None
    assert [each.detection for each in change.unfed] == [only]


def test_a_policy_that_feeds_all_needs_no_change() -> None:
    before = policy("[{level: Request}]")
    assert least_change(before, coverage(before, [detection(PODS)])) is None


@pytest.mark.parametrize("name", facts.policy_names())
def test_the_change_feeds_every_public_detection_under_every_shipped_policy(name: str) -> None:
    before = shipped(name)
    change = least_change(before, coverage(before, SHIPPED))
    after = before if change is None else change.policy
    assert {each.state for each in coverage(after, SHIPPED)} == {State.FED}
    assert (change is None) == (name == "detect")


USERS = st.lists(st.sampled_from(["alice", "system:anonymous"]), max_size=1).map(tuple)
VERBS = st.lists(st.sampled_from(["get", "list", "create", "patch", "watch"]), max_size=3, unique=True).map(tuple)
ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(["", "apps", "rbac.authorization.k8s.io"]),
        st.lists(st.sampled_from(["pods", "pods/*", "secrets", "roles", "*"]), max_size=2).map(tuple),
    ).map(lambda drawn: GroupResources(*drawn)),
    max_size=2,
).map(tuple)
STAGES = st.lists(st.sampled_from(list(Stage)[:3]), max_size=2, unique=True).map(tuple)
RULES = st.tuples(st.sampled_from(Level), USERS, VERBS, ENTRIES, STAGES).map(
    lambda drawn: PolicyRule(
        level=drawn[0], users=drawn[1], user_groups=(), verbs=drawn[2], resources=drawn[3], omit_stages=drawn[4]
    )
)
POLICIES = st.tuples(st.lists(RULES, max_size=5).map(tuple), STAGES).map(lambda drawn: Policy(*drawn))


@settings(max_examples=20, deadline=None)
@given(POLICIES)
def test_the_change_feeds_every_public_detection_under_any_policy(before: Policy) -> None:
    """And it never records less of what a detection reads: what was fed stays fed."""
    change = least_change(before, coverage(before, SHIPPED))
    after = before if change is None else change.policy
    assert {each.detection.name for each in coverage(after, SHIPPED) if each.state is not State.FED} == set()


@settings(max_examples=100, deadline=None)
@given(RULES, st.booleans() | st.none())
def test_a_rule_as_yaml_reads_back_as_the_rule(rule: PolicyRule, managed: bool | None) -> None:
    """Whatever the server would refuse apart: an empty list of resources is written nowhere."""
    rule = replace(rule, omit_managed_fields=managed)
    text = "\n".join(rule_lines(rule, "  "))
    loaded = load(f"{HEAD}rules:\n{text}\n".encode())
    assert loaded.policy is not None, loaded.error
    assert replace(loaded.policy.rules[0], line=0) == rule


@pytest.mark.parametrize("value", ["*", "", "no", "a: b", "x ", "é", "/api/*", "1", "system:node:x", "-", "#x", "a#b"])
def test_values_are_quoted_where_yaml_would_read_something_else(value: str) -> None:
    rule = PolicyRule(
        level=Level.METADATA, users=(value or "x",), resources=(GroupResources(value, ("pods",), (value,)),)
    )
    loaded = load("\n".join((HEAD + "rules:", *rule_lines(rule))).encode(), (1, 36))
    if loaded.policy is None:  # a group that no server takes
        assert "group" in loaded.error
    else:
        assert replace(loaded.policy.rules[0], line=0) == rule


def lowered(before: Policy, index: int) -> Policy:
    rule = before.rules[index]
    changed = replace(rule, level=LOWER[rule.level])
    return before._replace(rules=(*before.rules[:index], changed, *before.rules[index + 1 :]))


def unfed(after: Policy) -> list[str]:
    return [each.detection.name for each in coverage(after, SHIPPED) if each.state is not State.FED]


def test_detect_feeds_every_public_detection() -> None:
    assert unfed(shipped("detect")) == []


def test_no_level_of_detect_can_be_lower() -> None:
    before = shipped("detect")
    recording = [index for index, rule in enumerate(before.rules) if rule.level is not Level.NONE]
    assert [index for index in recording if not unfed(lowered(before, index))] == []


def test_no_body_of_detect_can_be_left_out() -> None:
    """Each verb and each resource of the rules that record bodies is one that a detection reads."""
    before = shipped("detect")
    spare = []
    for index, rule in enumerate(before.rules):
        if rule.level <= Level.METADATA:
            continue
        smaller = [replace(rule, verbs=tuple(v for v in rule.verbs if v != verb)) for verb in rule.verbs]
        for place, entry in enumerate(rule.resources):
            for name in entry.resources:
                less = entry._replace(resources=tuple(each for each in entry.resources if each != name))
                entries = (*rule.resources[:place], *((less,) if less.resources else ()), *rule.resources[place + 1 :])
                smaller += [replace(rule, resources=entries)] if entries else []
        for one in smaller:
            if one.verbs or not rule.verbs:
                after = before._replace(rules=(*before.rules[:index], one, *before.rules[index + 1 :]))
                spare += [(index, one)] if not unfed(after) else []
    assert spare == []


def test_no_stage_of_detect_can_be_omitted() -> None:
    before = shipped("detect")
    for stage in (Stage.RESPONSE_STARTED, Stage.RESPONSE_COMPLETE):
        assert unfed(before._replace(omit_stages=(*before.omit_stages, stage))) != []
