"""What the stand-in records: the same keys in the same order as real servers (golden/logs), stage by stage."""

from __future__ import annotations

from typing import Any

import pytest
from labroom import AUDIT_FLAGS, EVERYTHING, Node, eventually, golden, with_auditing

pytestmark = pytest.mark.lab


def recorded(node: Node, audit_id: str, stages: int) -> list[dict[str, Any]]:
    def found() -> list[dict[str, Any]]:
        return [event for event in node.events() if event["auditID"] == audit_id]

    eventually(lambda: len(found()) >= stages)
    return found()


def shape(tree: Any) -> Any:
    """The keys of an event in order, one level deep for the parts whose form is the server's own."""
    parts = ("user", "objectRef", "responseStatus", "annotations")
    return [(key, list(tree[key]) if key in parts else None) for key in tree]


OWN = ("auditID", "sourceIPs", "userAgent")  # the client's own


@pytest.mark.parametrize("verb", ["get", "list", "create", "patch", "delete"])
def test_an_administrators_events_have_the_real_servers_keys_in_its_order(audited: Node, verb: str) -> None:
    resource = "pods" if verb == "list" else "configmaps"
    real = [
        event
        for event in golden("logs/request-response-1.36.jsonl")
        if event["verb"] == verb
        and event["user"].get("username") == "kubernetes-super-admin"
        and "impersonatedUser" not in event
        and event.get("objectRef", {}).get("resource") == resource
    ]
    calls: dict[str, tuple[str, str, Any]] = {
        "get": ("GET", "/seen", None),
        "list": ("GET", "?limit=500", None),
        "create": ("POST", "", {"metadata": {"name": "made"}}),
        "patch": ("PATCH", "/seen", {"data": {"a": "b"}}),
        "delete": ("DELETE", "/gone", None),
    }
    base = "/api/v1/namespaces/default/configmaps"
    for name in ("seen", "gone"):
        audited.request("POST", base, admin=True, body={"metadata": {"name": name}})
    method, path, body = calls[verb]
    audited.request(
        method,
        base.replace("configmaps", resource) + path,
        admin=True,
        body=body,
        Audit_ID=f"shape-{verb}",
        User_Agent="test",
    )
    for event in recorded(audited, f"shape-{verb}", 2):
        shapes = [shape(each) for each in real if each["stage"] == event["stage"]]
        assert shapes
        assert shape(event) in shapes


def test_an_anonymous_request_for_health_is_recorded_as_by_a_real_server(audited: Node) -> None:
    real = [event for event in golden("logs/request-response-1.36.jsonl") if event["requestURI"] == "/readyz"]
    audited.request("GET", "/readyz", Audit_ID="health", User_Agent="curl/7.88.1")
    received, complete = recorded(audited, "health", 2)
    pattern = {event["stage"]: event for event in real if event.get("responseStatus", {}).get("code", 200) == 200}
    for event in (received, complete):
        expected = {key: value for key, value in pattern[event["stage"]].items() if not key.endswith("Timestamp")}
        assert list(event) == list(pattern[event["stage"]])
        assert {key: event[key] for key in expected if key not in OWN} == {
            key: value for key, value in expected.items() if key not in OWN
        }


def test_a_bad_token_is_one_event_without_a_user(audited: Node) -> None:
    reply = audited.request("GET", "/version", Authorization="Bearer nonsense", Audit_ID="x" * 300)
    (event,) = recorded(audited, "x" * 300, 1)
    assert (reply.code, reply.headers["Audit-Id"]) == (401, "x" * 300)
    assert (event["stage"], event["user"], event["responseStatus"]["message"]) == (
        "ResponseStarted",
        {},
        "Unauthorized",
    )
    assert "annotations" not in event


def test_a_forbidden_request_is_recorded_with_the_verdict(audited: Node) -> None:
    reply = audited.request("GET", "/api/v1/namespaces/default/secrets/s", Audit_ID="no")
    _, complete = recorded(audited, "no", 2)
    assert reply.json["message"] == (
        'secrets "s" is forbidden: User "system:anonymous" cannot get resource "secrets" in API group "" '
        'in the namespace "default"'
    )
    assert complete["annotations"] == {"authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": ""}
    assert complete["responseObject"]["code"] == complete["responseStatus"]["code"] == 403


def test_a_watch_is_recorded_in_three_stages_and_without_a_body(audited: Node) -> None:
    audited.request("GET", "/api/v1/pods?watch=1&timeoutSeconds=0", admin=True, Audit_ID="watch")
    events = recorded(audited, "watch", 3)
    assert [event["stage"] for event in events] == ["RequestReceived", "ResponseStarted", "ResponseComplete"]
    assert not any("responseObject" in event for event in events)


def test_a_dry_run_creates_nothing(audited: Node) -> None:
    path = "/api/v1/namespaces/default/configmaps"
    made = audited.request("POST", f"{path}?dryRun=All", admin=True, body={"metadata": {"name": "dry"}})
    assert (made.code, audited.request("GET", f"{path}/dry", admin=True).code) == (201, 404)


def test_html_letters_are_escaped_as_go_does(audited: Node) -> None:
    audited.request("GET", "/version?a=<b>&c", Audit_ID="escape")
    recorded(audited, "escape", 2)
    text = audited.layout.host("/var/log/kubernetes/audit/audit.log").read_text()
    assert r'"requestURI":"/version?a=\u003cb\u003e\u0026c"' in text


def test_the_log_is_for_its_owner_alone(audited: Node) -> None:
    log = audited.layout.host("/var/log/kubernetes/audit/audit.log")
    assert (log.stat().st_mode & 0o777, log.parent.stat().st_mode & 0o777) == (0o600, 0o755)


@pytest.mark.parametrize(
    ("method", "path", "admin", "code"),
    [
        ("GET", "/livez", False, 200),
        ("GET", "/readyz?verbose", False, 200),
        ("GET", "/version", False, 200),
        ("HEAD", "/version", True, 200),
        ("HEAD", "/version", False, 403),
        ("GET", "/livez/ping", False, 403),
        ("GET", "/metrics", False, 403),
        ("GET", "/api", False, 403),
        ("GET", "/api", True, 200),
        ("GET", "/apis/apps/v1", True, 200),
        ("GET", "/nonsense", True, 404),
        ("GET", "/api/v1/namespaces/default/pods/none", True, 404),
        ("POST", "/api/v1/namespaces/default/configmaps", False, 403),
        ("OPTIONS", "/api/v1/pods", True, 405),
        ("GET", "/api/v1/watch", True, 500),
    ],
)
def test_endpoints_answer_as_the_real_ones(audited: Node, method: str, path: str, *, admin: bool, code: int) -> None:
    reply = audited.request(method, path, admin=admin)
    assert (reply.code, reply.headers["Server"]) == (code, "auditctl-lab stand-in")


def test_metrics_count_levels(audited: Node) -> None:
    text = audited.request("GET", "/metrics", admin=True).text
    assert 'apiserver_audit_level_total{level="RequestResponse"}' in text
    assert "apiserver_audit_requests_rejected_total 0" in text


def test_a_full_disk_stops_every_request_in_blocking_strict_mode(node: Node) -> None:
    """/dev/full stands for the disk: the event of stage RequestReceived is lost, so the request is refused."""
    for name in ("/etc/kubernetes/audit", "/var/log/kubernetes/audit"):
        node.layout.host(name).mkdir(parents=True)
    node.layout.host("/etc/kubernetes/audit/policy.yaml").write_text(EVERYTHING)
    node.layout.host("/var/log/kubernetes/audit/audit.log").symlink_to("/dev/full")
    node.write_manifest(with_auditing(node.manifest.read_text(), (*AUDIT_FLAGS, "--audit-log-mode=blocking-strict")))
    eventually(lambda: _answer(node) == (500, 'Internal Server Error: "/version": failed to store audit event\n'))


def _answer(node: Node) -> tuple[int, str]:
    try:
        reply = node.request("GET", "/version")
    except OSError:
        return 0, ""
    return reply.code, reply.text
