"""What each request changed in an object, from the bodies that the log has."""

from __future__ import annotations

import json
from typing import Any

from auditctl.log.object_history import ObjectName, with_changes
from auditctl.log.requests import RecordedRequest, recorded, whole_requests

WEB = ObjectName(frozenset({("apps", "deployments")}), "web", "shop")


def request(number: int, verb: str = "update", **more: Any) -> RecordedRequest:
    """One request about the deployment ``web``."""
    event = {
        "auditID": f"id-{number}", "stage": "ResponseComplete", "level": "RequestResponse", "verb": verb,
        "requestURI": "/apis/apps/v1/namespaces/shop/deployments/web", "user": {"username": "alice"},
        "objectRef": {"resource": "deployments", "apiGroup": "apps", "namespace": "shop", "name": "web"},
        "responseStatus": {"code": 200}, "stageTimestamp": f"2026-11-21T20:29:{number:02}.000000Z", **more,
    }  # fmt: skip
    parsed = recorded(json.dumps(event).encode())
    assert parsed is not None
    return parsed


def body(replicas: int, kind: str = "Deployment", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "web", "resourceVersion": "1"}, "spec": {"replicas": replicas}, **more}


def lines(*requests: RecordedRequest) -> list[tuple[list[str], str]]:
    return [([each.line() for each in entry.changes], entry.note) for entry in with_changes(requests)]


def test_a_change_and_the_change_back() -> None:
    found = lines(
        request(1, "create", responseObject=body(1)),
        request(2, responseObject=body(3)),
        request(3, responseObject=body(1)),
        request(4, responseObject=body(1)),
    )

    assert "+ spec.replicas: 1" in found[0][0]
    assert found[1:] == [
        (["~ spec.replicas: 1 -> 3"], ""),
        (["~ spec.replicas: 3 -> 1"], ""),
        ([], "nothing changed"),
    ]


def test_at_level_request_the_bodies_that_were_sent_are_compared() -> None:
    with_status = body(1, status={"readyReplicas": 1})

    assert lines(request(1, responseObject=with_status), request(2, requestObject=body(2)))[1] == (
        ["~ spec.replicas: 1 -> 2"],
        "",
    )


def test_a_read_with_its_answer_is_a_state_to_compare_with() -> None:
    assert lines(request(1, "get", responseObject=body(1)), request(2, responseObject=body(2)))[1][0] == [
        "~ spec.replicas: 1 -> 2"
    ]


def test_a_patch_without_a_state_before_it_shows_what_was_sent() -> None:
    patch = {"spec": {"replicas": 5}}

    assert lines(request(1, "patch", requestObject=patch, responseObject=body(5))) == [
        (["+ spec.replicas: 5"], "the patch; the state before it is not in the log")
    ]


def test_scale_is_compared_with_scale_and_not_with_the_deployment() -> None:
    reference = {
        "resource": "deployments",
        "apiGroup": "apps",
        "namespace": "shop",
        "name": "web",
        "subresource": "scale",
    }

    found = lines(
        request(1, responseObject=body(1)),
        request(2, objectRef=reference, responseObject=body(2, "Scale")),
        request(3, objectRef=reference, responseObject=body(4, "Scale")),
    )

    assert found[2] == (["~ spec.replicas: 2 -> 4"], "")


def test_what_failed_or_was_a_dry_run_changed_nothing() -> None:
    refused = request(2, "patch", requestObject={"spec": {"replicas": 9}}, responseStatus={"code": 403})
    dry = request(3, "patch", requestURI="/x?dryRun=All", responseObject=body(9))

    found = lines(request(1, responseObject=body(1)), refused, dry, request(4, responseObject=body(2)))

    assert found[1:] == [
        ([], "failed, nothing changed"),
        ([], "dry run, nothing changed"),
        (["~ spec.replicas: 1 -> 2"], ""),
    ]


def test_a_changed_secret_is_told_and_not_shown() -> None:
    reference = {"resource": "secrets", "namespace": "shop", "name": "db"}
    before = {"kind": "Secret", "metadata": {"name": "db"}, "data": {"p": "T05F"}}
    after = {"kind": "Secret", "metadata": {"name": "db"}, "data": {"p": "VFdP"}}

    found = lines(
        request(1, objectRef=reference, responseObject=before), request(2, objectRef=reference, responseObject=after)
    )

    assert found[1] == (["~ data.p: <redacted> -> <redacted>"], "")


def test_an_object_is_known_by_its_answer_where_its_name_was_generated() -> None:
    generated = {"resource": "deployments", "apiGroup": "apps", "namespace": "shop"}

    assert WEB.is_of(request(1, "create", objectRef=generated, responseObject=body(1)))
    assert WEB.is_of(request(2, "deletecollection", objectRef=generated))
    assert not WEB.is_of(request(3, "list", objectRef=generated))
    assert not WEB.is_of(request(4, objectRef={**generated, "name": "other"}))
    assert not WEB.is_of(request(5, objectRef={**generated, "name": "web", "namespace": "test"}))
    assert not WEB.is_of(request(6, objectRef={**generated, "name": "web", "apiGroup": "example.org"}))


def test_the_stages_of_a_request_are_one_and_a_repeated_audit_id_is_two() -> None:
    stages = [request(1, stage="RequestReceived", responseStatus={}), request(1)]

    assert [each.stage for each in whole_requests(stages)] == ["ResponseComplete"]
    assert len(whole_requests([*stages, request(1, "delete")])) == 2
    assert len(whole_requests([*stages, *stages])) == 2
