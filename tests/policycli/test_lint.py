"""The warnings of `policy validate`: every finding is proved by a request that the policy as meant decides otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditctl.operations.policy_files import built_in
from auditctl.policy.compare import outcome
from auditctl.policy.evaluate import evaluate, matches
from auditctl.policy.lint import problems, warnings
from auditctl.policy.lint_checks import CHECKS, LintCheck, Problem
from auditctl.policy.lint_decisions import MOST_PROVEN
from auditctl.policy.load import load
from auditctl.policy.types import Policy

ROOT = Path(__file__).resolve().parents[2]
# policies of other projects, which are not ours to publish; a clone has the shipped ones
CORPUS = sorted((ROOT.parent / "shared/corpus/policies").glob("*.yaml"))
SHIPPED = sorted(path for path in (ROOT / "templates/policies").glob("*.yaml") if ".expect." not in path.name)
HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: "
WITHOUT_REQUEST = {"more-documents"}
ELSEWHERE = {"dropped-fields", "duplicate-key", "unknown-resource", "detection-blind"}  # not found by the text alone
Call = Callable[..., Any]


def found(text: str) -> tuple[Policy, list[Problem]]:
    policy = load(text.encode()).policy
    assert policy is not None, text
    return policy, list(problems(text.encode(), policy, built_in()))


def prove(policy: Policy, problem: Problem) -> None:
    """The policy and what was meant decide the request otherwise; of a rule in vain, that rule then decides."""
    if problem.request is None:
        assert problem.check in WITHOUT_REQUEST or "no request passes" in problem.message, problem
        return
    assert problem.mending is not None
    mended = problem.mending.apply(policy)
    now, meant = evaluate(policy, problem.request), evaluate(mended, problem.request)
    if problem.check == "unreachable":
        index = int(problem.path.removeprefix("rules[").removesuffix("]"))
        rule = policy.rules[index]
        assert matches(rule, problem.request)
        assert now.rule < index
        assert mended.rules[meant.rule] == rule
    else:
        assert outcome(now) != outcome(meant), problem


@pytest.mark.parametrize("check", [check for check in CHECKS if check.name not in ELSEWHERE])
def test_the_example_of_a_check_is_found_and_proved(check: LintCheck) -> None:
    policy, all_found = found(HEAD + check.example + "\n")
    own = [problem for problem in all_found if problem.check == check.name]
    assert own, all_found
    for problem in all_found:
        prove(policy, problem)


@pytest.mark.parametrize("path", [*SHIPPED, *CORPUS], ids=lambda path: path.stem)
def test_each_finding_in_the_corpus_is_proved_by_a_request_and_two_decisions(path: Path) -> None:
    loaded = load(path.read_bytes())
    if loaded.policy is None:
        return
    for problem in problems(path.read_bytes(), loaded.policy, built_in()):
        prove(loaded.policy, problem)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_we_ship_is_free_of_warnings(path: Path) -> None:
    policy = load(path.read_bytes()).policy
    assert policy is not None
    found = [each.check for each in warnings(path.read_bytes(), policy, built_in())]
    assert found == (["secret-bodies"] if path.stem == "detect" else [])  # a public detection reads ConfigMaps


@pytest.mark.parametrize(
    ("rules", "check", "path", "fix"),
    [
        ("[{level: Request, verbs: [GET]}, {level: Metadata}]", "verb-never-sent", "rules[0].verbs[0]", "write get"),
        ("[{level: Request, verbs: [get, apply]}, {level: Metadata}]", "verb-never-sent", "rules[0].verbs[1]", "write patch"),
        ("[{level: Request, users: ['*']}, {level: Metadata}]", "pattern-never-matches", "rules[0].users[0]", "for all"),
        ("[{level: Request, namespaces: ['kube-*']}, {level: Metadata}]", "pattern-never-matches", "rules[0].namespaces[0]", "name each"),
        ("[{level: Request, resources: [{resources: ['*/*']}]}, {level: Metadata}]", "resource-never-matches", "rules[0].resources[0].resources[0]", "write '*'"),
        ("[{level: Request, resources: [{resources: [po]}]}, {level: Metadata}]", "resource-never-matches", "rules[0].resources[0].resources[0]", "write 'pods'"),
        ("[{level: Request, resources: [{resources: [Deployment]}]}, {level: Metadata}]", "resource-never-matches", "rules[0].resources[0].resources[0]", "'deployments' in group 'apps'"),
        ("[{level: Request, resources: [{resources: [deployments.apps]}]}, {level: Metadata}]", "resource-never-matches", "rules[0].resources[0].resources[0]", "in group 'apps'"),
        ("[{level: Request, resources: [{group: core, resources: [pods]}]}, {level: Metadata}]", "wrong-group", "rules[0].resources[0].group", 'core group is ""'),
        ("[{level: Request, resources: [{group: extensions, resources: [ingresses]}]}, {level: Metadata}]", "wrong-group", "rules[0].resources[0].resources[0]", "networking.k8s.io"),
        ("[{level: Request, userGroups: ['system:*']}, {level: Metadata}]", "pattern-never-matches", "rules[0].userGroups[0]", "name each"),
        ("[{level: Request, resources: [{resources: ['']}]}, {level: Metadata}]", "resource-never-matches", "rules[0].resources[0].resources[0]", "write '*'"),
        ("[{level: Request, resources: [{resources: ['po*']}]}, {level: Metadata}]", "resource-never-matches", "rules[0].resources[0].resources[0]", "write '*'"),
        ("[{level: Request, verbs: [teleport]}, {level: Metadata}]", "verb-never-sent", "rules[0].verbs[0]", "remove it"),
        ("[{level: Request, verbs: ['*'], nonResourceURLs: [/x]}, {level: Metadata}]", "verb-never-sent", "rules[0].verbs[0]", "leave `verbs` out"),
        ("[{level: Request, verbs: [list], nonResourceURLs: [/x]}, {level: Metadata}]", "verb-never-sent", "rules[0].verbs[0]", "remove it"),
        ("[{level: Request, resources: [{group: v1, resources: [pods]}]}, {level: Metadata}]", "wrong-group", "rules[0].resources[0].group", 'core group is ""'),
        ("[{level: Request, resources: [{group: apps, resources: [pods/exec]}]}, {level: Metadata}]", "wrong-group", "rules[0].resources[0].resources[0]", "'pods/exec' in group ''"),
        ("[{level: Request, resources: [{group: apps, resources: [Deployment/scale]}]}, {level: Metadata}]", "resource-never-matches", "rules[0].resources[0].resources[0]", "write 'deployments/scale'"),
        ("[{level: Request, verbs: [deletecollection, create], resources: [{resources: [pods, secrets], resourceNames: [a]}]}, {level: Metadata}]", "names-on-create", "rules[0].resources[0].resourceNames", "leave resourceNames out"),
        ("[{level: Request, namespaces: [a], resources: [{resources: [pods]}, {resources: [nodes/status]}]}, {level: Metadata}]", "namespace-of-cluster-scoped", "rules[0].resources[1].resources", 'with [""]'),
        ("[{level: Request, resources: [{resources: [pods, deployments]}]}, {level: Metadata}]", "wrong-group", "rules[0].resources[0].resources[1]", "in group 'apps'"),
        ("[{level: Request, resources: [{group: '*', resources: [Pod]}]}, {level: Metadata}]", "resource-never-matches", "rules[0].resources[0].resources[0]", "'pods' in group ''"),
        ("[{level: Request, resources: [{group: apps, resources: [deploy]}]}, {level: Metadata}]", "resource-never-matches", "rules[0].resources[0].resources[0]", "write 'deployments'"),
        ("[{level: None, namespaces: [''], resources: [{resources: [nodes, pods]}]}, {level: Metadata}]", "only-no-namespace", "rules[0].namespaces", "leave `namespaces` out"),
        ("[{level: None, namespaces: ['', '']}, {level: Metadata}]", "only-no-namespace", "rules[0].namespaces", "leave `namespaces` out"),
    ],
)  # fmt: skip
def test_what_was_meant_is_told(rules: str, check: str, path: str, fix: str) -> None:
    policy, all_found = found(HEAD + rules)
    (problem,) = [problem for problem in all_found if problem.check == check]
    prove(policy, problem)
    assert problem.path == path
    assert fix in problem.fix


@pytest.mark.parametrize(
    "rules",
    [
        "[{level: None, resources: [{group: example.com, resources: [pods, deployments, Widget]}]}, {level: Metadata}]",
        "[{level: None, verbs: [head], nonResourceURLs: ['*']}, {level: Metadata}]",
        "[{level: None, resources: [{group: metrics.k8s.io, resources: [pods, nodes]}]}, {level: Metadata}]",
        "[{level: None, namespaces: [''], resources: [{resources: [nodes, persistentvolumes/status]}]}, {level: Metadata}]",
        "[{level: Metadata, namespaces: ['']}, {level: Metadata}]",
        "[{level: Request, namespaces: [a, ''], resources: [{resources: [nodes]}]}, {level: Metadata}]",
        "[{level: Request, namespaces: [a], resources: [{resources: [namespaces]}]}, {level: Metadata}]",
        "[{level: Request, verbs: [create, get], resources: [{resources: [pods], resourceNames: [a]}]}, {level: Metadata}]",
        "[{level: Request, verbs: [create], resources: [{resources: [pods/eviction], resourceNames: [a]}]}, {level: Metadata}]",
        "[{level: Request, resources: [{group: x.io, resources: [a.b, po]}]}, {level: Metadata}]",
        "[{level: None, verbs: [head, post]}, {level: Metadata}]",
        "[{level: Metadata, resources: [{resources: [pods/*, '*/scale']}]}, {level: Metadata, verbs: [get]}, {level: Metadata, omitStages: [RequestReceived]}]",
    ],
)
def test_what_may_be_meant_is_not_complained_of(rules: str) -> None:
    assert found(HEAD + rules)[1] == []


@pytest.mark.parametrize(
    ("rules", "index"),
    [
        ("[{level: None, verbs: [get, list]}, {level: None, verbs: [watch]}, {level: Request, verbs: [get, watch]}, {level: Metadata}]", 2),
        ("[{level: None, userGroups: ['system:serviceaccounts']}, {level: Request, users: ['system:serviceaccount:a:b']}, {level: Metadata}]", 1),
        ("[{level: None, nonResourceURLs: ['/api*']}, {level: Metadata, nonResourceURLs: [/apis/apps]}, {level: Metadata}]", 1),
        ("[{level: None, resources: [{resources: [pods/*]}]}, {level: None, resources: [{resources: [pods/log], resourceNames: [a]}]}, {level: Metadata}]", 1),
    ],
)  # fmt: skip
def test_a_rule_in_vain_is_found_by_exact_subsumption(rules: str, index: int) -> None:
    policy, all_found = found(HEAD + rules)
    (problem,) = [problem for problem in all_found if problem.check == "unreachable"]
    assert problem.path == f"rules[{index}]"
    prove(policy, problem)


def test_findings_have_places_and_can_be_chosen_and_allowed(policy: Call, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n- level: Request\n  verbs:\n  - get\n"
    )
    ran = policy("validate", path)
    assert ran.code == 0
    assert f"{path}:5:3: warning: rules[1]: never decides: rules[0] (line 4)" in ran.out
    assert policy("validate", path, "--strict").code == 1
    assert policy("validate", path, "--strict", "--allow", "unreachable").code == 0
    path.write_text(HEAD + "[{level: RequestResponse}]\n")
    checks = [row["check"] for row in policy("validate", path, "-o", "json").json["files"][0]["findings"]]
    assert {"secret-bodies", "list-bodies", "noise"} == set(checks)
    assert policy("validate", path, "--only", "noise").out.count(": warning:") == 1


def test_of_a_policy_too_large_to_prove_it_nothing_plain_is_complained_of() -> None:
    rule = (
        "{level: Metadata, users: [u%d], userGroups: [g], verbs: [get, list], namespaces: [a, ''],"
        " resources: [{resources: [nodes, pods/log]}, {group: apps, resources: [deployments, deployments/scale], resourceNames: [x]}]}"
    )
    rules = ", ".join(rule % index for index in range(MOST_PROVEN + 1))
    assert found(f"{HEAD}[{rules}, {{level: Metadata}}]")[1] == []


def test_a_note_is_neither_a_warning_nor_a_refusal(policy: Call, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(HEAD + "[{level: None, namespaces: [''], resources: [{resources: [pods]}]}, {level: Metadata}]")
    ran = policy("validate", path, "--strict")
    assert ran.code == 0
    assert '[""] alone leaves of pods only what is in no namespace, and lists across all of them' in ran.out
    assert ": info: rules[0].namespaces: " in ran.out


@pytest.mark.parametrize(("version", "told"), [("1.21", False), ("1.22", True), ("1.36", True)])
def test_a_group_is_wrong_from_the_version_on_that_no_longer_serves_it(
    policy: Call, tmp_path: Path, version: str, told: bool
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        HEAD + "[{level: None, resources: [{group: extensions, resources: [ingresses]}]}, {level: Metadata}]"
    )
    assert ("wrong-group" in policy("validate", path, "--kubernetes", version).out) is told


def test_a_dropped_field_is_told_with_what_the_rule_then_does(policy: Call, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(HEAD + "[{level: None, verb: [get], resources: [{resource: [events]}]}, {level: Metadata}]")
    ran = policy("validate", path)
    assert ran.code == 1
    assert "rules[0] then drops get secrets db in default, create secrets in default, create pods/exec" in ran.out


@pytest.mark.parametrize("count", [29, 99, 400])
def test_many_rules_take_a_second_at_most(count: int) -> None:
    rules = "".join(
        f"- level: Metadata\n  users: [u{i}]\n  userGroups: [g{i % 30}]\n  verbs: [get, v{i}]\n  namespaces: [n{i}]\n"
        f"  resources: [{{group: g{i % 20}.io, resources: [r{i}, r{i}/s{i}]}}]\n"
        for i in range(count)
    )
    text = f"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n{rules}".encode()
    policy = load(text).policy
    assert policy is not None
    began = time.process_time()
    assert warnings(text, policy, built_in())
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "rules",
    [
        f"[{{level: None, resources: [{{resources: [{', '.join(f'r{i}/s{i}' for i in range(3000))}], resourceNames: [{', '.join(f'n{i}' for i in range(1000))}]}}]}}]",
        f"[{{level: None, nonResourceURLs: [{', '.join(f'/a{i}*' for i in range(5000))}]}}]",
        f"[{{level: None, resources: [{', '.join(f'{{group: g{i}}}' for i in range(3000))}]}}]",
        f"[{{level: None, namespaces: [{', '.join(f'n{i}' for i in range(8000))}]}}, {{level: None, userGroups: [{', '.join(f'g{i}' for i in range(2000))}]}}]",
    ],
    ids=["resources", "urls", "groups", "namespaces"],
)
def test_long_lists_take_a_second_at_most(rules: str) -> None:
    text = (HEAD + rules).encode()
    policy = load(text).policy
    assert policy is not None
    began = time.process_time()
    warnings(text, policy, built_in())
    assert time.process_time() - began < 2
