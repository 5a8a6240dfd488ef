"""`policy test`, `diff`, `convert`; and the regions that make `diff` exact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditctl.policy.compare import differences, first_difference, outcome
from auditctl.policy.compiled import Compiled
from auditctl.policy.evaluate import evaluate, matches
from auditctl.policy.request import attributes
from auditctl.policy.request_classes import regions
from auditctl.policy.shorthand import usual_groups
from auditctl.policy.types import GroupResources, Level, Policy, PolicyRule, User

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
OLD = HEAD + "rules:\n- level: None\n  verbs: [get]\n- level: Metadata\n"
NEW = HEAD + "rules:\n- level: None\n  verbs: [get]\n  namespaces: [kube-system]\n- level: Metadata\n"
Call = Callable[..., Any]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(OLD)
    new.write_text(NEW)
    return old, new


def test_a_policy_that_decides_as_expected_is_0(policy: Call, files: tuple[Path, Path], tmp_path: Path) -> None:
    expect = tmp_path / "e.yaml"
    expect.write_text("- get pods -> None\n- {url: /version, method: post, user: null, level: Metadata, rule: 1}\n")
    ran = policy("test", files[0], expect)
    assert (ran.code, ran.out) == (0, f"{files[0]}: 2 of 2 requests are decided as expected\n")


def test_what_differs_is_a_table(policy: Call, files: tuple[Path, Path], tmp_path: Path) -> None:
    expect = tmp_path / "e.yaml"
    expect.write_text("- get pods -> Metadata\n- list pods -> Metadata\n- {request: get pods, level: None, rule: 1}\n")
    ran = policy("test", files[0], expect)
    head, one, other, summary = ran.out.splitlines()
    assert (ran.code, head.split()) == (1, ["EXPECTATION", "REQUEST", "DECISION"])
    assert one.split(maxsplit=3) == [f"{expect}:1", "get", "pods", "level None, expected Metadata"]
    assert other.endswith("rule 0, expected 1")
    assert summary == f"{files[0]}: 1 of 3 requests are decided as expected"
    told = policy("test", files[0], expect, "-o", "json")
    assert (told.code, told.json["passed"], told.json["failed"]) == (1, 1, 2)
    assert [row["passed"] for row in told.json["results"]] == [False, True, False]


@pytest.mark.parametrize("text", ["- {url: /x}", "- {url: /x, request: get a, level: None}", "- {url: x, level: None}"])
def test_expectations_that_cannot_be_read_are_refused(
    policy: Call, files: tuple[Path, Path], tmp_path: Path, text: str
) -> None:
    expect = tmp_path / "e.yaml"
    expect.write_text(text)
    ran = policy("test", files[0], expect)
    assert (ran.code, ran.out) == (3, "")
    assert f"{expect}:1:" in ran.err
    assert policy("test", files[0], tmp_path / "none").code == 3


def test_two_policies_that_differ_are_1_and_the_requests_are_named(policy: Call, files: tuple[Path, Path]) -> None:
    old, new = files
    ran = policy("diff", old, new)
    assert ran.code == 1
    assert ran.out.splitlines()[0] == f"{old}:4 rules[0] -> {new}:7 rules[1]"
    assert "  None -> Metadata  get pods web in default by kubernetes-admin" in ran.out.splitlines()
    told = policy("diff", old, new, "-o", "json").json["differences"]
    assert {row["old"]["level"] for row in told} == {"None"}
    assert policy("diff", old, old).out == f"{old} and {old} decide every request alike\n"
    assert policy("diff", old, old).code == 0
    assert policy("diff", old, "/nonesuch").code == 3


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ("omitStages: [Panic]\n", "Metadata, omitted stages none -> Panic"),
        ("omitManagedFields: true\n", "Metadata, omitManagedFields false -> true"),
    ],
)
def test_stages_and_managed_fields_differ_too(policy: Call, files: tuple[Path, Path], new: str, told: str) -> None:
    files[1].write_text(OLD.replace("rules:", new + "rules:"))
    assert told in policy("diff", *files).out


@pytest.mark.parametrize("version", ["v1beta1", "v1alpha1"])
@pytest.mark.parametrize(
    "text",
    [
        "# audit.k8s.io/%s\r\napiVersion:   'audit.k8s.io/%s' # audit.k8s.io/%s\r\nkind: Policy\r\nrules: [{level: None}]",
        "\ufeffkind: Policy\nrules:\n- level: None\n  users: [audit.k8s.io/%s]\napiVersion: audit.k8s.io/%s\n---\nx",
        '{"kind": "Policy", "rules": [{"level": "None"}],\n "APIVersion": "audit.k8s.io/%s"}',
    ],
)
def test_only_the_version_changes(capfdbinary: Any, tmp_path: Path, version: str, text: str) -> None:
    from auditctl.cli.app import run

    path = tmp_path / "old.yaml"
    path.write_bytes(text.replace("%s", version).encode())
    assert run(["auditctl", "policy", "convert", str(path)]) == 0
    out = capfdbinary.readouterr().out
    before, _, behind = text.replace("%s", version).encode().partition(b"piVersion")
    if b"APIVersion" in path.read_bytes():
        before, _, behind = text.replace("%s", version).encode().partition(b"PIVersion")
    assert out.startswith(before)
    assert out[len(before) + 9 :] == behind.replace(f"k8s.io/{version}".encode(), b"k8s.io/v1", 1)


def test_what_is_v1_stays_and_what_cannot_be_converted_is_refused(tmp_path: Path, capfdbinary: Any) -> None:
    from auditctl.cli.app import run

    path = tmp_path / "p.yaml"
    path.write_text(OLD)
    assert run(["auditctl", "policy", "convert", str(path)]) == 0
    assert capfdbinary.readouterr().out == OLD.encode()
    for text in ("a: b\n", OLD.replace("v1", "v2"), OLD.replace("audit.k8s.io/v1", r'"audit.k8s.io\u002fv1beta1"')):
        path.write_text(text)
        assert run(["auditctl", "policy", "convert", str(path)]) == 3
        assert capfdbinary.readouterr().out == b""


NAMES = ["alice", "system:node:a", "system:serviceaccount:x:y", "system:anonymous"]
GROUPS = ["dev", "ops", "system:authenticated", "system:nodes", "system:serviceaccounts:x", "system:unauthenticated"]
PATTERNS = ["pods", "pods/*", "*/scale", "*", "pods/log", "secrets", "namespaces", "deployments/scale"]


def some(values: list[str]) -> Any:
    return st.lists(st.sampled_from(values), max_size=2).map(tuple)


ENTRIES = st.builds(GroupResources, st.sampled_from(["", "apps", "*"]), some(PATTERNS), some(["web", "x"]))
RULES = st.builds(
    PolicyRule,
    level=st.sampled_from(Level),
    users=some(NAMES),
    user_groups=some(GROUPS),
    verbs=some(["get", "list", "create", "post", "delete"]),
    resources=st.lists(ENTRIES, max_size=2).map(tuple),
    namespaces=some(["x", "", "default"]),
    non_resource_urls=st.just(()),
) | st.builds(
    PolicyRule, level=st.sampled_from(Level), users=some(NAMES), user_groups=some(GROUPS), verbs=some(["get", "post"]), resources=st.just(()), namespaces=st.just(()), non_resource_urls=some(["/a", "/a*", "*"])
)  # fmt: skip
POLICIES = st.lists(RULES, min_size=1, max_size=4).map(lambda rules: Policy(tuple(rules)))
USERS = st.none() | st.builds(
    lambda name, more: User(name, (*more, *usual_groups(name)) if name in NAMES[:2] else usual_groups(name)),
    st.sampled_from([*NAMES, "bob"]),
    some(["dev", "ops", "other"]),
)
URLS = st.sampled_from(
    [
        "/a",
        "/ab",
        "/b",
        "/version",
        "/api/v1/pods",
        "/api/v1/namespaces/x/pods/web",
        "/api/v1/namespaces/x",
        "/api/v1/namespaces/default/pods/other/log",
        "/apis/apps/v1/namespaces/q/deployments/web/scale",
        "/apis/apps/v1/deployments?watch=1",
        "/apis/other/v1/things",
        "/api/v1/namespaces/x/secrets",
        "/api/v1/namespaces",
    ]
)


@settings(max_examples=300, deadline=None)
@given(POLICIES, USERS, st.sampled_from(["GET", "POST", "DELETE", "PUT"]), URLS)
def test_every_request_lies_in_a_region(drawn: Policy, user: User | None, method: str, url: str) -> None:
    asked = attributes(method, url, user)
    if asked.verb == "create" and asked.name and not asked.subresource:
        return  # a POST to an object: the server answers 405
    bits = sum(1 << index for index, rule in enumerate(drawn.rules) if matches(rule, asked))
    found = regions(drawn.rules)
    assert bits in {region.rules for region in found}
    for region in found:
        assert region.first == evaluate(drawn, region.witness).rule


@settings(max_examples=200, deadline=None)
@given(POLICIES, POLICIES, USERS, st.sampled_from(["GET", "POST", "DELETE", "PUT"]), URLS)
def test_no_request_differs_where_none_is_found(
    old: Policy, new: Policy, user: User | None, method: str, url: str
) -> None:
    found = list(differences(old, new))
    for each in found:
        assert (each.before, each.after) == (evaluate(old, each.attributes), evaluate(new, each.attributes))
    asked = attributes(method, url, user)
    if asked.verb == "create" and asked.name and not asked.subresource:
        return
    if outcome(evaluate(old, asked)) != outcome(evaluate(new, asked)):
        assert found
        assert first_difference(old, new) == found[0]


def test_the_difference_is_told_as_a_request() -> None:
    old, new = (Policy((PolicyRule(level=level),)) for level in (Level.NONE, Level.METADATA))
    assert str(first_difference(old, new)).endswith(": None (rule 0), not Metadata (rule 0)")
    assert first_difference(old, old) is None
    assert Compiled(old).decisions[-1].rule == -1
