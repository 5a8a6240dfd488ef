"""Replay: what was recorded under a policy is what that policy says of it; bytes at lower levels are exact."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from goldenlogs import recorded_logs

from auditctl import facts
from auditctl.log import sources
from auditctl.log.parallel import tallied
from auditctl.log.readers import reader
from auditctl.log.replay import Replay, judge_of, replay
from auditctl.log.sensitive import rule
from auditctl.log.suggest import is_harmless
from auditctl.policy.evaluate import evaluate
from auditctl.policy.load import load
from auditctl.policy.request import attributes
from auditctl.policy.types import GroupResources, Level, Policy, PolicyRule, User

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
METHODS = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE", "deletecollection": "DELETE"}


def policy(text: str) -> Policy:
    loaded = load(text.encode()).policy
    assert loaded is not None
    return loaded


def replayed(paths: list[str], *policies: Policy, processes: int = 1) -> Replay:
    judge, reading = judge_of(policies), reader()
    opened = sources.open_sources(paths)
    tally = tallied(sources.pieces(opened), lambda pieces: judge.scan(pieces, reading), processes)
    sources.close(opened)
    return replay(judge, tally)


def recorded() -> list[str]:
    return [str(path) for path in recorded_logs()]


def rewritten(event: dict[str, Any], found: Policy) -> str | None:
    """The event as the server would have written it under the policy, asked of the evaluator one by one."""
    user = event["user"]
    who = User(user["username"], tuple(user.get("groups", ()))) if user.get("username") else None
    asked = attributes(METHODS.get(event["verb"], "GET"), event["requestURI"], who)
    if not asked.is_resource_request:
        asked = replace(asked, verb=event["verb"])
    assert asked.verb == event["verb"]
    decision = evaluate(found, asked)
    if decision.level is Level.NONE or event["stage"] in {stage.value for stage in decision.omit_stages}:
        return None
    event = {**event, "level": decision.level.value}
    if decision.level < Level.REQUEST:
        event.pop("requestObject", None)
    if decision.level < Level.REQUEST_RESPONSE:
        event.pop("responseObject", None)
    for body in ("requestObject", "responseObject") if decision.omit_managed_fields else ():
        if body in event and not (body == "requestObject" and event["verb"] == "patch"):
            whole = event[body]
            for each in (whole, *whole.get("items", ()), *(row.get("object", {}) for row in whole.get("rows") or ())):
                each.get("metadata", {}).pop("managedFields", None)
    text = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    for plain, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(plain, escaped)
    return text + "\n"


def test_a_log_recorded_at_request_response_is_reproduced_to_the_event() -> None:
    found = replayed(recorded(), policy(HEAD + "rules:\n- level: RequestResponse\n"))
    lines = sum(len(Path(path).read_bytes().splitlines()) for path in recorded())
    assert found.agreeing == found.recorded.events == found.predicted.events == lines
    assert found.predicted == found.recorded
    assert found.invisible == found.visible == ()


@pytest.mark.parametrize("name", facts.policy_names())
def test_predicted_events_and_bytes_are_those_of_the_evaluator(name: str, tmp_path: Path) -> None:
    """And what it would have written, replayed under itself, is reproduced."""
    chosen = policy(facts.policy_text(name))
    written = [
        text
        for path in recorded()
        for line in Path(path).read_bytes().splitlines()
        if (text := rewritten(json.loads(line), chosen)) is not None
    ]
    found = replayed(recorded(), chosen)
    assert found.predicted.events == len(written)
    assert found.predicted.bytes == sum(len(text.encode()) for text in written)
    assert found.predicted.estimated_bytes == 0
    assert sum(found.dropped.values()) == found.recorded.events - found.predicted.events
    log = tmp_path / "audit.log"
    log.write_text("".join(written))
    again = replayed([str(log)], chosen)
    assert again.agreeing == again.recorded.events == len(written)
    assert again.invisible == ()


def test_two_processes_find_what_one_finds() -> None:
    chosen = policy(facts.policy_text("forensic")), policy(facts.policy_text("quiet"))
    assert replayed(recorded(), *chosen, processes=2) == replayed(recorded(), *chosen)


EVENT = {
    "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "1", "stage": "ResponseComplete",
    "requestURI": "/api/v1/namespaces/prod/secrets/db", "verb": "get", "user": {"username": "alice", "groups": ["dev"]},
    "objectRef": {"resource": "secrets", "namespace": "prod", "name": "db", "apiVersion": "v1"},
}  # fmt: skip


def log_of(tmp_path: Path, *events: dict[str, Any]) -> list[str]:
    path = tmp_path / "audit.log"
    path.write_text("".join(json.dumps({**EVENT, **each}, separators=(",", ":")) + "\n" for each in events))
    return [str(path)]


def test_the_name_that_only_a_body_has_plays_no_part(tmp_path: Path) -> None:
    """A create's objectRef is filled from the body; the decision was taken before."""
    chosen = policy(
        HEAD
        + "rules:\n- level: None\n  resources: [{group: '', resources: [secrets], resourceNames: [db]}]\n- level: Metadata\n"
    )
    create = {"verb": "create", "requestURI": "/api/v1/namespaces/prod/secrets"}
    assert replayed(log_of(tmp_path, create), chosen).predicted.events == 1
    assert replayed(log_of(tmp_path, {}), chosen).predicted.events == 0


def test_a_401_has_no_user_and_one_stage(tmp_path: Path) -> None:
    paths = log_of(tmp_path, {"user": {}, "stage": "ResponseStarted"})
    for_users = policy(HEAD + "rules:\n- {level: None, userGroups: [dev]}\n- {level: Metadata}\n")
    omitted = policy(HEAD + "omitStages: [ResponseStarted]\nrules:\n- level: Metadata\n")
    assert replayed(paths, for_users).predicted.events == 1
    found = replayed(paths, omitted)
    assert (found.predicted.events, [group.requests for group in found.invisible]) == (0, [1])


def test_the_impersonated_user_is_not_matched(tmp_path: Path) -> None:
    chosen = policy(HEAD + "rules:\n- {level: None, users: [bob]}\n- {level: Metadata}\n")
    assert replayed(log_of(tmp_path, {"impersonatedUser": {"username": "bob"}}), chosen).predicted.events == 1


def test_an_omitted_stage_alone_hides_no_request(tmp_path: Path) -> None:
    paths = log_of(tmp_path, {"stage": "RequestReceived"}, {})
    by_rule = policy(HEAD + "rules:\n- {level: Metadata, omitStages: [RequestReceived]}\n")
    found = replayed(paths, by_rule)
    assert (found.predicted.events, found.invisible) == (1, ())
    started = policy(HEAD + "omitStages: [RequestReceived, ResponseComplete]\nrules:\n- {level: Metadata}\n")
    assert [group.requests for group in replayed(paths, started).invisible] == [1]
    watch = {"verb": "watch", "requestURI": "/api/v1/secrets?watch=1"}
    paths = log_of(tmp_path, {**watch, "stage": "RequestReceived"}, {**watch, "stage": "ResponseStarted"})
    assert (replayed(paths, started).invisible, replayed(paths, started).predicted.events) == ((), 1)


def test_sensitive_requests_come_first_however_few_they_are(tmp_path: Path) -> None:
    many = [{"objectRef": {"resource": "pods", "namespace": "prod"}, "verb": "list"}] * 5
    nothing = policy(HEAD + "rules:\n- level: None\n")
    found = replayed(log_of(tmp_path, *many, {}), nothing)
    assert [(group.sensitive, group.target, group.requests) for group in found.invisible] == [
        ("secrets", "secrets", 1),
        ("", "pods", 5),
    ]
    old = policy(HEAD + "rules:\n- level: Metadata\n  resources: [{group: '', resources: [pods]}]\n")
    against = replayed(log_of(tmp_path, *many, {}), policy(HEAD + "rules:\n- level: Metadata\n"), old)
    assert [(group.target, group.requests) for group in against.visible] == [("secrets", 1)]
    assert against.invisible == ()


def test_bytes_above_the_recorded_level_are_an_estimate_from_bodies_that_the_log_has(tmp_path: Path) -> None:
    body = {"a": "x" * 100}
    examples = {"level": "RequestResponse", "responseObject": body}
    everything = policy(HEAD + "rules:\n- level: RequestResponse\n")
    found = replayed(log_of(tmp_path, {}, examples), everything)
    assert found.predicted.estimated_bytes == len(',"responseObject":') + len(json.dumps(body, separators=(",", ":")))
    assert (found.agreeing, found.unknown_bodies) == (1, 0)
    assert replayed(log_of(tmp_path, {}), everything).unknown_bodies == 1


def test_a_rule_that_any_sensitive_request_matches_is_not_harmless() -> None:
    assert is_harmless(PolicyRule(level=Level.NONE, verbs=("get",), resources=(GroupResources("", ("pods",)),)))
    assert not is_harmless(PolicyRule(level=Level.NONE, resources=(GroupResources("", ("pods/*",)),)))
    assert not is_harmless(PolicyRule(level=Level.NONE, users=("system:kube-scheduler",)))
    assert rule(Level.NONE).resources


def test_managed_fields_leave_bodies_but_never_a_patch(tmp_path: Path) -> None:
    body = {"metadata": {"name": "db", "managedFields": [{"manager": "kubectl"}]}}
    bodies = {"level": "RequestResponse", "requestObject": body, "responseObject": body}
    chosen = policy(HEAD + "omitManagedFields: true\nrules:\n- level: RequestResponse\n")
    gone = len(',"managedFields":[{"manager":"kubectl"}]')
    for verb, times in (("update", 2), ("patch", 1)):
        found = replayed(log_of(tmp_path, {**bodies, "verb": verb}), chosen)
        assert found.recorded.bytes - found.predicted.bytes == times * gone
