"""Events cut to another policy: against an oracle that decides and spells on its own, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from auditctl import facts
from auditctl.log import events_json, events_msgspec
from auditctl.log.damage import ReadStatistics
from auditctl.log.policy_filter import FilterCounts, PolicyFilter
from auditctl.log.reading import event_block
from auditctl.policy.evaluate import evaluate
from auditctl.policy.load import load
from auditctl.policy.request import attributes
from auditctl.policy.types import Decision, Level, Policy, User

LOG = Path(__file__).parents[1] / "golden" / "logs" / "request-response-1.36.jsonl"
METHODS = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE", "deletecollection": "DELETE"}
HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
OWN = {
    "no-managed-fields": HEAD + "omitManagedFields: true\nrules:\n- level: RequestResponse\n",
    "requests": HEAD + "omitStages: [RequestReceived]\nrules:\n- level: Request\n  omitManagedFields: true\n",
    "nothing": HEAD + "rules:\n- level: None\n",
    "names": HEAD
    + "rules:\n- level: None\n  namespaces: [kube-system]\n- level: Request\n  verbs: [create, patch]\n- level: Metadata\n",
}
READERS = [events_json.READER, events_msgspec.READER]


def policy_of(text: str) -> Policy:
    loaded = load(text.encode()).policy
    assert loaded is not None
    return loaded


def filtered(text: str, log: bytes, reader: Any = events_msgspec.READER) -> bytes:
    cutting = PolicyFilter(policy_of(text), reader)
    block = event_block(log, 0, "log", reader, ReadStatistics())
    return b"".join(line + b"\n" for line in cutting.lines(block, FilterCounts()))


def decision_of(policy: Policy, event: dict[str, Any]) -> Decision:
    """From the request alone, as the server decides."""
    user = event.get("user") or {}
    who = User(user["username"], tuple(user.get("groups", ()))) if user.get("username") else None
    verb = event["verb"]
    return evaluate(
        policy,
        attributes(METHODS.get(verb, "GET" if event.get("objectRef") else verb.upper()), event["requestURI"], who),
    )


def spelled(event: dict[str, Any]) -> bytes:
    """As Go's ``encoding/json`` writes it."""
    text = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    for plain in "<>&\u2028\u2029":
        text = text.replace(plain, f"\\u{ord(plain):04x}")
    return text.encode() + b"\n"


def without_managed_fields(body: Any) -> Any:
    objects = [body, *(body.get("items") or ())] if isinstance(body, dict) else []
    for each in objects:
        each.get("metadata", {}).pop("managedFields", None)
    return body


def expected(policy: Policy, log: bytes) -> bytes:
    lines = []
    for event in map(json.loads, log.splitlines()):
        decision = decision_of(policy, event)
        if decision.level is Level.NONE or event["stage"] in [stage.value for stage in decision.omit_stages]:
            continue
        event["level"] = decision.level.value
        for name, least in (("requestObject", Level.REQUEST), ("responseObject", Level.REQUEST_RESPONSE)):
            if decision.level < least:
                event.pop(name, None)
            elif decision.omit_managed_fields and name in event and (name, event["verb"]) != ("requestObject", "patch"):
                without_managed_fields(event[name])
        lines.append(spelled(event))
    return b"".join(lines)


@pytest.mark.parametrize("reader", READERS, ids=["json", "msgspec"])
@pytest.mark.parametrize(
    "text", [*map(facts.policy_text, facts.policy_names()), *OWN.values()], ids=[*facts.policy_names(), *OWN]
)
def test_a_log_of_all_bodies_becomes_what_the_policy_records(text: str, reader: Any) -> None:
    log = LOG.read_bytes()

    assert filtered(text, log, reader) == expected(policy_of(text), log)


def test_the_log_of_the_highest_level_is_the_log_itself() -> None:
    log = LOG.read_bytes()

    assert filtered(HEAD + "rules:\n- level: RequestResponse\n", log) == log


def test_filtering_twice_is_filtering_once() -> None:
    once = filtered(facts.policy_text("baseline"), LOG.read_bytes())

    assert filtered(facts.policy_text("baseline"), once) == once


def event(level: str, **fields: Any) -> bytes:
    line = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": level,
        "auditID": "a",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/a/pods",
        "verb": "create",
        "user": {"username": "alice", "groups": ["system:authenticated"]},
        "objectRef": {"resource": "pods", "namespace": "a", "apiVersion": "v1"},
        **fields,
    }
    return spelled(line)


def test_the_patches_of_webhooks_belong_to_the_bodies() -> None:
    patches = {"patch.webhook.admission.k8s.io/round_0_index_0": "{secret}", "z": "kept"}
    metadata, request = (HEAD + f"rules:\n- level: {level}\n" for level in ("Metadata", "Request"))
    log = event("RequestResponse", requestObject={"kind": "Pod"}, annotations=patches)

    assert filtered(metadata, log) == event("Metadata", annotations={"z": "kept"})
    assert filtered(request, log) == event("Request", requestObject={"kind": "Pod"}, annotations=patches)
    del patches["z"]
    assert filtered(metadata, event("RequestResponse", annotations=patches)) == event("Metadata")


def test_managed_fields_go_wherever_the_server_leaves_them_out_and_never_of_a_patch() -> None:
    managed = {"name": "a", "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:a": {}}}]}
    body = {
        "metadata": managed,
        "items": [{"metadata": managed}],
        "rows": [{"cells": [1], "object": {"metadata": managed}}],
    }
    bare = {
        "metadata": {"name": "a"},
        "items": [{"metadata": {"name": "a"}}],
        "rows": [{"cells": [1], "object": {"metadata": {"name": "a"}}}],
    }
    text = OWN["no-managed-fields"]

    assert filtered(text, event("RequestResponse", requestObject=body)) == event("RequestResponse", requestObject=bare)
    patch = event(
        "RequestResponse",
        verb="patch",
        requestURI="/api/v1/namespaces/a/pods/p",
        requestObject=body,
        responseObject=body,
    )
    assert filtered(text, patch) == event(
        "RequestResponse",
        verb="patch",
        requestURI="/api/v1/namespaces/a/pods/p",
        requestObject=body,
        responseObject=bare,
    )


@pytest.mark.parametrize(
    "body", [[{"op": "add", "path": "/metadata/managedFields"}], None, "x", {"metadata": None, "items": None}]
)
def test_a_body_of_any_shape_is_left_as_it_is(body: Any) -> None:
    log = event("RequestResponse", requestObject=body, responseObject={"managedFields": 1})

    assert filtered(OWN["no-managed-fields"], log) == log


def test_what_was_not_recorded_is_not_made_up_but_counted() -> None:
    cutting = PolicyFilter(policy_of(HEAD + "rules:\n- level: RequestResponse\n"), events_msgspec.READER)
    log = event("Metadata")
    block = event_block(log, 0, "log", events_msgspec.READER, ReadStatistics())

    counts = FilterCounts()

    assert [*cutting.lines(block, counts)] == [log.strip()]
    assert (counts.kept, counts.dropped, counts.poorer) == (1, 0, 1)


def test_a_body_that_is_too_deep_to_be_built_is_cut_all_the_same() -> None:
    deep = "[" * 5000 + "]" * 5000
    log = event("RequestResponse", requestObject="HERE").replace(b'"HERE"', deep.encode())

    assert filtered(HEAD + "rules:\n- level: Metadata\n", log) == event("Metadata")
