"""What the findings of `policy validate` say beyond their checks: proofs, places, consequences; and words of requests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from auditctl.findings import Finding
from auditctl.operations.policy_files import built_in
from auditctl.policy.compare import first_difference, request_words
from auditctl.policy.lint import problems, warnings, with_consequences
from auditctl.policy.lint_decisions import MOST_PROVEN
from auditctl.policy.load import load
from auditctl.policy.shorthand import parse
from auditctl.policy.types import Policy

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"


def policy(text: str) -> Policy:
    """The policy of a text that loads."""
    loaded = load(text.encode()).policy
    assert loaded is not None
    return loaded


def warned(text: str) -> tuple[Finding, ...]:
    return warnings(text.encode(), policy(text), built_in())


@pytest.mark.parametrize(
    ("request_text", "words"),
    [
        ("GET /healthz by bob", "get /healthz by bob"),
        ("get pods/log web in default by bob", "get pods/log web in default by bob"),
        ("list deployments.apps by bob", "list deployments.apps by bob"),
    ],
)
def test_a_request_is_told_as_a_person_writes_it(request_text: str, words: str) -> None:
    assert request_words(parse(request_text)) == words
    assert request_words(replace(parse(request_text), user=None)) == words.replace(" by bob", " without a user")


def test_what_is_not_recorded_at_all_does_not_differ_in_its_stages() -> None:
    omitting = policy(HEAD + "rules: [{level: None, omitStages: [RequestReceived]}]")
    plain = policy(HEAD + "rules: [{level: None}]")
    assert first_difference(omitting, plain) is None
    recording = policy(HEAD + "rules: [{level: Metadata, omitStages: [RequestReceived]}]")
    assert first_difference(recording, policy(HEAD + "rules: [{level: Metadata}]")) is not None


@pytest.mark.parametrize(("rules", "proven"), [(MOST_PROVEN, True), (MOST_PROVEN + 1, False)])
def test_a_selector_of_a_large_policy_is_told_without_a_proof(rules: int, proven: bool) -> None:
    filling = ", ".join(f"{{level: None, users: [u{index}]}}" for index in range(rules - 2))
    text = f"{HEAD}rules: [{filling}, {{level: Request, verbs: [GET]}}, {{level: Metadata}}]"
    (told,) = (one for one in problems(text.encode(), policy(text), built_in()) if one.check == "verb-never-sent")
    assert told.check == "verb-never-sent"
    assert (told.request is not None) is proven


def test_a_place_is_found_beside_a_field_of_any_depth() -> None:
    told = warned(f"{HEAD}x: {'[' * 3000}{']' * 3000}\nrules:\n- level: Metadata\n- level: Request\n")
    assert [(finding.check, finding.line) for finding in told] == [("unreachable", 6)]


def test_the_consequences_of_a_dropped_field_are_told_where_a_policy_is_loaded() -> None:
    loaded = load(f"{HEAD}rules: [{{level: None, verb: [get]}}, {{level: Metadata}}]".encode())
    (told,) = with_consequences(loaded.findings, loaded)
    assert "rules[0] then drops get secrets db in default" in told.message
    refused = load(f"{HEAD}rules: [{{level: Nothing, verb: [get]}}]".encode())
    assert "dropped-fields" in {finding.check for finding in refused.findings}
    assert with_consequences(refused.findings, refused) == refused.findings


def test_a_field_dropped_outside_of_the_rules_or_in_an_idle_one_has_no_consequence_to_tell() -> None:
    loaded = load(f"{HEAD}x: 1\nrules: [{{level: Metadata}}, {{level: None, verb: [get]}}]".encode())
    assert len(loaded.findings) == 2
    assert with_consequences(loaded.findings, loaded) == loaded.findings
