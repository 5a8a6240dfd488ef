"""The detections that ship, and what is said of a text that is not a list of detections."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from auditctl.errors import PolicyError
from auditctl.policy.detections import Detection, read_detections
from auditctl.policy.types import Level, Stage

SHIPPED = Path(__file__).resolve().parents[2] / "templates" / "detections.yaml"
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "logs" / "request-response-1.36.jsonl"
ONE = "sets: [{set: mine, detections: [%s]}]"
GOOD = "name: a, level: Metadata, requests: [get pods]"


@pytest.fixture(scope="module")
def shipped() -> tuple[Detection, ...]:
    return read_detections(SHIPPED.read_bytes(), SHIPPED.name)


def named(detections: tuple[Detection, ...], name: str) -> Detection:
    (one,) = (each for each in detections if each.name == name)
    return one


def test_every_rule_of_the_three_public_sets_is_there_with_its_source(shipped: tuple[Detection, ...]) -> None:
    assert Counter(each.set for each in shipped) == {"falco": 48, "sigma": 16, "elastic": 51}
    assert all(each.path for each in shipped)
    assert all(each.id for each in shipped if each.set != "falco")
    assert len({(each.set, each.id or each.name) for each in shipped}) == len(shipped)


def test_a_body_is_never_read_before_the_response(shipped: tuple[Detection, ...]) -> None:
    """The event of the stage RequestReceived has no body, at no level (`pkg/endpoints/filters/audit.go`)."""
    by_level = {
        "Kubernetes Anonymous User Create/Update/Patch Pods Request"
    }  # it compares the level, and reads no body
    early = {each.name for each in shipped if each.level > Level.METADATA and Stage.REQUEST_RECEIVED in each.stages}
    assert early == by_level


def test_a_real_log_has_decisions_and_bodies_at_the_stages_that_the_file_says() -> None:
    """Recorded at RequestResponse on a node of 1.36: what an early event lacks is not the policy's doing."""
    decided, bodies = set(), set()
    for line in GOLDEN.read_text().splitlines():
        event = json.loads(line)
        decided |= {event["stage"]} if "authorization.k8s.io/decision" in event.get("annotations", {}) else set()
        bodies |= {event["stage"]} if {"requestObject", "responseObject"} & event.keys() else set()
    assert decided == {"ResponseStarted", "ResponseComplete"}
    assert bodies == {"ResponseComplete"}


def test_what_a_rule_asks_for_is_what_its_source_says(shipped: tuple[Detection, ...]) -> None:
    shell = named(shipped, "Kubernetes User Exec into Pod")
    assert (shell.level, shell.exact) == (Level.REQUEST, True)
    attach = named(shipped, "Attach/Exec Pod")
    assert (attach.level, attach.stages) == (Level.METADATA, (Stage.RESPONSE_STARTED,))
    assert named(shipped, "Kubernetes Multi-Resource Discovery").needed == 3
    assert [each.text for each in named(shipped, "Potential Remote Command Execution In Pod Container").requests] == [
        "create pods/exec web in prod by alice"
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: [", "did not find"),
        ("[]", "a mapping with sets"),
        ("sets: []", "a list with at least one item"),
        ("sets: [{set: x}]", "a mapping with set, detections"),
        (ONE % "{name: a, requests: [get pods]}", "a mapping with name, level, requests"),
        (ONE % f"{{{GOOD}, stage: x}}", "unknown field 'stage'"),
        (ONE % "{name: a, level: None, requests: [get pods]}", "'None' is not a level of an event"),
        (ONE % "{name: a, level: Metadata, requests: [get]}", "a verb and a resource"),
        (ONE % "{name: 1, level: Metadata, requests: [get pods]}", "a text is needed"),
        (ONE % f"{{{GOOD}, stages: [Panic]}}", "'Panic' is not a stage of a normal request"),
        (ONE % f"{{{GOOD}, needed: 2}}", "a number from 1 to 1"),
        (ONE % f"{{{GOOD}, needed: a}}", "a number from 1 to 1"),
        (ONE % f"{{{GOOD}, exact: 'yes'}}", "true or false"),
    ],
)
def test_a_text_in_another_format_is_refused_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(PolicyError, match=complaint) as raised:
        read_detections(text.encode(), "mine.yaml")
    assert str(raised.value).startswith("mine.yaml:")


def test_what_is_left_out_is_every_stage_and_one_request() -> None:
    (one,) = read_detections((ONE % f"{{{GOOD}}}").encode())
    assert (one.set, one.needed, one.exact, one.id, one.note, one.line) == ("mine", 1, False, "", "", 1)
    assert one.stages == (Stage.REQUEST_RECEIVED, Stage.RESPONSE_STARTED, Stage.RESPONSE_COMPLETE)
