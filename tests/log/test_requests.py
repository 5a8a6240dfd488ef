"""One request of the log, as people ask for it."""

from __future__ import annotations

import json
from typing import Any

from auditctl.log.requests import CREDENTIAL, RecordedRequest, recorded


def request(**event: Any) -> RecordedRequest:
    parsed = recorded(json.dumps(event).encode())
    assert parsed is not None
    return parsed


def test_the_command_of_an_exec_is_part_of_the_action_and_its_token_is_not() -> None:
    uri = "/api/v1/namespaces/a/pods/p/exec?command=sh&command=-c&command=login+--token%3DHIDDEN&stdin=true"
    each = request(verb="get", requestURI=uri, objectRef={"resource": "pods", "subresource": "exec", "name": "p"})

    assert each.action == "get exec: sh -c login --token=<redacted>"
    assert not each.is_read
    assert request(verb="get", objectRef={"resource": "pods", "subresource": "log"}).is_read


def test_credentials_and_the_decision_are_read_where_the_version_has_them() -> None:
    each = request(
        user={"username": "a", "extra": {CREDENTIAL: ["X509SHA256=1"]}},
        impersonatedUser={"username": "b", "extra": {CREDENTIAL: ["JTI=2"]}},
        annotations={"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "RBAC: x"},
        authorizationDecision={"role": "admin"},
        authenticationMetadata={"impersonationConstraint": "impersonate:user-info"},
    )

    assert each.credentials == ("X509SHA256=1", "JTI=2")
    assert each.decision == {
        "decision": "allow",
        "reason": "RBAC: x",
        "authorizationDecision": {"role": "admin"},
        "impersonationConstraint": "impersonate:user-info",
    }
    assert each.row()["impersonatedUser"] == "b"


def test_what_is_no_event_of_the_usual_shape_is_read_as_far_as_it_goes() -> None:
    assert recorded(b"[1]") is None
    assert recorded(b"{") is None
    assert recorded(b'{"a":' * 100_000) is None
    each = request(verb=1, user=[], objectRef="x", responseStatus={"code": "200"})
    assert (each.verb, each.user, each.code, each.target) == ("", "", 0, "")
