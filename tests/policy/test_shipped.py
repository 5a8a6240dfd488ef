"""The policies that we ship do what their expectations say, on every version that people run."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditctl.errors import PolicyError
from auditctl.operations.policy_files import built_in
from auditctl.policy.evaluate import evaluate, stages
from auditctl.policy.expectations import read_expectations, unmet
from auditctl.policy.load import load
from auditctl.policy.request import attributes
from auditctl.policy.request_context import RequestContext, administrator
from auditctl.policy.shorthand import parse
from auditctl.policy.types import Level, Policy, Stage, User

CONTEXT = RequestContext(built_in(), (1, 36), administrator((1, 36)))
SHIPPED = Path(__file__).resolve().parents[2] / "templates" / "policies"
NAMES = sorted(path.name.removesuffix(".expect.yaml") for path in SHIPPED.glob("*.expect.yaml"))


def shipped(name: str, version: tuple[int, int] = (1, 36)) -> Policy:
    loaded = load((SHIPPED / f"{name}.yaml").read_bytes(), version)
    assert (loaded.error, loaded.warning, loaded.findings) == ("", "", ())
    assert loaded.policy is not None
    return loaded.policy


def test_every_policy_has_expectations() -> None:
    policies = {path.stem for path in SHIPPED.glob("*.yaml") if not path.name.endswith(".expect.yaml")}
    assert policies == set(NAMES) >= {"baseline"}


@pytest.mark.parametrize("name", NAMES)
def test_its_expectations_are_met(name: str) -> None:
    policy = shipped(name)
    expectations = read_expectations((SHIPPED / f"{name}.expect.yaml").read_bytes(), name, CONTEXT)
    assert [(each.request, difference) for each in expectations if (difference := unmet(policy, each)[1])] == []
    assert {evaluate(policy, each.attributes).rule for each in expectations} >= set(range(len(policy.rules)))


@pytest.mark.parametrize("minor", range(24, 37))
@pytest.mark.parametrize("name", NAMES)
def test_every_version_accepts_it(name: str, minor: int) -> None:
    shipped(name, (1, minor))


def test_the_baseline_records_a_request_that_anyone_may_make() -> None:
    policy = shipped("baseline")
    for user in (User("system:anonymous", ("system:unauthenticated",)), None):
        version = attributes("GET", "/version", user)
        decision = evaluate(policy, version)
        assert decision.level is Level.METADATA
        assert stages(decision, version, authenticated=user is not None) == (
            (Stage.RESPONSE_COMPLETE,) if user else (Stage.RESPONSE_STARTED,)
        )


def test_the_baseline_keeps_no_bodies_at_all() -> None:
    assert {rule.level for rule in shipped("baseline").rules} == {Level.NONE, Level.METADATA}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: b", "a list of"),
        ("- get pods", "has no `-> LEVEL`"),
        ("- get pods -> Meta", "'Meta' is not a level"),
        ("- get -> None", "a verb and a resource"),
        ("- GET /%zz -> None", "invalid URL escape"),
        ("- [a]", "an item is"),
        ("- request: get pods", "an item is"),
        ("- {request: get pods, level: None, x: 1}", "an item is"),
        ("- {request: get pods, level: None, rule: a}", "a rule is a number"),
        ("- {request: get pods, level: None, stages: [X]}", "stages are RequestReceived"),
        ("- [", "did not find expected node content"),
    ],
)
def test_expectations_that_cannot_be_read(text: str, complaint: str) -> None:
    with pytest.raises(PolicyError, match=complaint) as raised:
        read_expectations(text.encode(), "x.expect.yaml")
    assert str(raised.value).startswith("x.expect.yaml:")


def test_what_differs_is_told() -> None:
    text = b"- {request: watch pods, level: None, rule: 3, stages: [Panic]}\n- watch pods -> Metadata\n"
    wrong, right = read_expectations(text)
    policy = load(b"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n").policy
    assert policy is not None
    assert unmet(policy, wrong)[1] == (
        "level Metadata, expected None; rule 0, expected 3; stages RequestReceived, ResponseStarted, ResponseComplete"
    )
    assert unmet(policy, right)[1] == ""
    assert right.attributes == parse("watch pods")
    assert (wrong.line, right.line) == (1, 2)
