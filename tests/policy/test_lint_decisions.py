"""What `policy validate` says of decisions: each bad one at its rule, and nothing where nothing changes."""

from __future__ import annotations

import pytest

from auditctl.operations.policy_files import built_in
from auditctl.policy.compare import first_difference
from auditctl.policy.lint import problems, warnings, with_consequences
from auditctl.policy.lint_checks import Problem
from auditctl.policy.lint_decisions import MOST_PROVEN
from auditctl.policy.load import load

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
STAGED = "{level: Metadata, omitStages: [ResponseComplete]}"


def found(body: str) -> list[Problem]:
    raw = (HEAD + body).encode()
    policy = load(raw).policy
    assert policy is not None
    return list(problems(raw, policy, built_in()))


def checks(body: str) -> list[str]:
    return [problem.check for problem in found(body)]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("omitStages: [ResponseStarted]\nrules: [{level: Metadata}]", ["outcome-omitted"]),
        ("omitStages: [RequestReceived]\nrules: [{level: Metadata}]", []),
        ("rules: [{level: Metadata, omitStages: [ResponseStarted]}]", ["start-omitted"]),
        (f"rules: [{STAGED}]", ["outcome-omitted"]),
        ("rules: [{level: None, verbs: [list], omitStages: [ResponseComplete]}, {level: Metadata}]", []),
        ("rules: [{level: Metadata}, {level: Request, nonResourceURLs: [/x]}]", ["unreachable"]),
        ("rules: [{level: None, users: ['system:anonymous'], userGroups: [a]}, {level: Metadata}]", ["unreachable"]),
        (f"rules: [{STAGED}, {', '.join(['{level: Metadata, verbs: [get]}'] * MOST_PROVEN)}]", ["unreachable"] * MOST_PROVEN),
    ],
)  # fmt: skip
def test_what_is_told_changes_a_decision(body: str, told: list[str]) -> None:
    assert checks(body) == told


@pytest.mark.parametrize(
    ("level", "more"), [("Request", ""), ("RequestResponse", ", but the whole answers of API discovery")]
)
def test_a_level_that_a_url_cannot_give_is_told_with_what_it_does_give(level: str, more: str) -> None:
    (told,) = found(f"rules: [{{level: {level}, nonResourceURLs: [/x]}}, {{level: Metadata}}]")
    assert told.message == f"level {level} records no more of such a URL than Metadata does{more}"


def test_the_rules_that_decide_instead_are_named() -> None:
    (told,) = found("rules: [{level: Metadata}, {level: Metadata}]")
    assert told.message == "never decides: rules[0] (line 3) decides every request that it is for"
    two = "{level: None, verbs: [get]}, {level: None, verbs: [list]}, {level: Metadata, verbs: [get, list]}, {level: Metadata}"
    (told,) = [each for each in found(f"rules: [{two}]") if each.check == "unreachable"]
    assert told.message.startswith("never decides: rules[0] (line 3) or rules[1] (line 3) decides")


def test_a_decision_is_told_at_its_rule_and_that_of_no_rule_at_the_list() -> None:
    tunnels = [each for each in found("rules: [{level: None}]") if each.check == "tunnels-unseen"]
    assert [each.path for each in tunnels] == ["rules[0]"]
    assert tunnels[0].message.endswith(", ...")
    assert [each.path for each in found("rules: [{level: Metadata, resources: [{group: apps}]}]")] == ["rules", "rules"]
    body = "rules: [{level: Metadata, userGroups: ['system:masters']}, {level: RequestResponse}]"
    secrets = [each for each in found(body) if each.check == "secret-bodies"]
    assert {each.path for each in secrets} == {"rules[1]"}
    assert not any(each.message.endswith("...") for each in secrets)


def test_what_a_rule_records_is_told_beside_a_selector_of_it() -> None:
    assert {"verb-never-sent", "secret-bodies"} <= set(
        checks("rules: [{level: RequestResponse, verbs: [get, CREATE]}, {level: Metadata}]")
    )


def test_fifty_warnings_are_enough() -> None:
    raw = f"{HEAD}rules: [{{level: None, users: [{', '.join(f'a{i}*' for i in range(60))}]}}, {{level: Metadata}}]".encode()
    policy = load(raw).policy
    assert policy is not None
    assert len(warnings(raw, policy, built_in())) == 50


def test_a_document_of_comments_is_none() -> None:
    raw = f"---\n{HEAD}rules: [{{level: Metadata}}]\n---\n# no more\n".encode()
    policy = load(raw).policy
    assert policy is not None
    assert list(problems(raw, policy, built_in())) == []


def test_a_place_in_json_is_found_behind_tabs() -> None:
    raw = b'{"apiVersion": "audit.k8s.io/v1",\n\t"rules": [\n\t{"level": "Request", "users": ["a\\/b"],\n\t"verbs": ["delete",\n\t"GET"]},\n\t{"level": "Metadata"}]}'
    policy = load(raw).policy
    assert policy is not None
    assert [(each.check, each.line, each.column) for each in warnings(raw, policy, built_in())] == [
        ("verb-never-sent", 5, 2)
    ]


def test_only_a_dropped_field_has_consequences() -> None:
    loaded = load(f"{HEAD}rules: [{{level: Metadata, level: Metadata}}]".encode())
    assert with_consequences(loaded.findings, loaded) == loaded.findings
    loaded = load(f"{HEAD}rules: [{{level: Metadata, verb: [get]}}]".encode())
    (told,) = with_consequences(loaded.findings, loaded)
    assert "rules[0] then decides (level Metadata) get secrets db in default" in told.message


def test_a_difference_is_told_in_one_line() -> None:
    old, new = (load(f"{HEAD}rules: [{{level: {level}}}]".encode()).policy for level in ("None", "Metadata"))
    assert old is not None
    assert new is not None
    assert str(first_difference(old, new)).endswith(": None (rule 0), not Metadata (rule 0)")


def test_the_other_words_for_resources_are_no_names_of_resources() -> None:
    known = built_in()
    assert not {"", *known.by_name} & known.by_word.keys()
