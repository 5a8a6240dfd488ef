"""The requests that change level: an example of each kind, levels first, few enough for a person."""

from __future__ import annotations

from auditctl.operations.level_changes import PolicyStep, lines, request_changes
from auditctl.policy.load import load
from auditctl.policy.types import Policy

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n"


def policy(*rules: str) -> Policy:
    loaded = load((HEAD + "".join(f"- {rule}\n" for rule in rules)).encode()).policy
    assert loaded is not None
    return loaded


def said(before: Policy | None, after: Policy | None) -> list[str]:
    step = PolicyStep(before, after)
    return list(lines(step, request_changes(step)))


ALL = "level: Metadata"


def test_a_change_of_level_names_the_request_and_both_levels() -> None:
    before = policy("{level: None, verbs: [get]}", ALL)
    [head, change] = said(before, policy(ALL))
    assert head == "requests that change level:"
    assert "None -> Metadata" in change
    assert "get " in change


def test_a_change_of_stages_alone_comes_after_the_levels() -> None:
    before = policy("{level: None, verbs: [get]}", "{level: Metadata, omitStages: [RequestReceived]}")
    [_, first, *_, last] = said(before, policy("{level: Request, verbs: [get]}", ALL))
    assert "None -> Request" in first
    assert "Metadata, with other stages" in last


def test_policies_that_decide_alike_say_so() -> None:
    assert said(policy(ALL), policy("{level: Metadata, verbs: [get]}", ALL)) == ["requests that change level: none"]


def test_what_is_not_known_is_not_compared() -> None:
    assert said(None, policy(ALL)) == []
    assert said(policy(ALL), None) == []


def test_more_kinds_than_a_person_reads_are_counted() -> None:
    verbs = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
    rules = [f"{{level: None, verbs: [{verb}], users: [{user}]}}" for verb in verbs for user in ("alice", "bob")]
    told = said(policy(*rules, ALL), policy(ALL))
    assert len(told) == 14
    assert told[-1] == "  and 4 more kinds (see `auditctl policy diff`)"


def test_two_policies_of_many_rules_are_left_to_policy_diff() -> None:
    many = policy(*(f"{{level: None, users: [user-{number}]}}" for number in range(400)), ALL)
    [line] = said(many, policy(ALL))
    assert "not compared" in line
