"""`auditctl log history`, `who`, `session`, `values`, as people call them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditctl.log.requests import CREDENTIAL

Call = Callable[..., tuple[int, str, str]]


def line(number: int, verb: str, resource: str, name: str, **more: Any) -> bytes:
    """One event as the server writes it."""
    event = {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": f"id-{number}",
        "stage": "ResponseComplete", "requestURI": f"/api/v1/{resource}/{name}", "verb": verb,
        "user": {"username": "alice", "extra": {CREDENTIAL: ["X509SHA256=aa"]}}, "sourceIPs": ["10.0.0.7"],
        "userAgent": "kubectl", "objectRef": {"resource": resource, "namespace": "shop", "name": name},
        "responseStatus": {"metadata": {}, "code": 200}, "requestReceivedTimestamp": "2026-11-21T20:29:00.000000Z",
        "stageTimestamp": f"2026-11-21T20:29:{number:02}.250000Z", **more,
    }  # fmt: skip
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


def secret(value: str) -> dict[str, Any]:
    return {"kind": "Secret", "metadata": {"name": "db"}, "data": {"p": value}}


@pytest.fixture
def logs(tmp_path: Path) -> list[object]:
    """A rotated file, compressed, and the log of another node."""
    rotated, other = tmp_path / "audit-2026-11-21T20-29-05.000.log.gz", tmp_path / "other.log"
    rotated.write_bytes(
        gzip.compress(
            line(1, "create", "secrets", "db", responseObject=secret("T05F"))
            + line(2, "get", "secrets", "db", user={"username": "eve"})
            + line(3, "delete", "namespaces", "shop", impersonatedUser={"username": "boss"}, user={"username": "proxy"})
        )
    )
    uri = "/api/v1/namespaces/shop/pods/p/exec?command=cat&command=/etc/shadow"
    other.write_bytes(
        line(4, "update", "secrets", "db", responseObject=secret("VFdP"))
        + line(
            5,
            "get",
            "pods",
            "p",
            requestURI=uri,
            objectRef={"resource": "pods", "namespace": "shop", "name": "p", "subresource": "exec"},
        )
    )
    return ["--log", rotated, "--log", other]


def test_who_deleted_this_namespace_and_as_whom(call: Call, logs: list[object]) -> None:
    """KIND is what people call it."""
    code, text, _ = call("log", "history", "ns/shop", *logs)

    assert code == 0
    row = text.splitlines()[1]
    assert row.split() == (
        [
            "2026-11-21",
            "20:29:03.250",
            "200",
            "proxy",
            "as",
            "boss",
            "10.0.0.7",
            "delete",
            "namespaces/shop",
            "in",
            "shop",
        ]
    )
    assert text.splitlines()[-1] == "1 request about ns/shop; 5 events were read."


def test_what_changed_in_a_secret_over_all_files_without_its_values(call: Call, logs: list[object]) -> None:
    code, text, _ = call("log", "history", "Secret/db", "-n", "shop", "--diff", *logs)
    document = call("log", "history", "secrets/db", "-n", "shop", "--diff", "-o", "json", *logs)[1]

    assert code == 0
    assert "    ~ data.p: <redacted> -> <redacted>" in text.splitlines()
    assert "1 of them only read it and is not listed (--reads)." in text
    assert [each["verb"] for each in json.loads(document)["requests"]] == ["create", "update"]
    for answer in (text, document):
        assert "T05F" not in answer
        assert "VFdP" not in answer


def test_reads_are_listed_on_demand(call: Call, logs: list[object]) -> None:
    assert " eve " in call("log", "history", "secrets/db", "--reads", *logs)[1]
    assert " eve " not in call("log", "history", "secrets/db", *logs)[1]


def test_an_exec_is_in_the_history_of_its_pod_with_its_command(call: Call, logs: list[object]) -> None:
    assert "get exec: cat /etc/shadow" in call("log", "history", "po/p", *logs)[1]


def test_who_also_finds_what_others_did_as_this_user(call: Call, logs: list[object]) -> None:
    document = json.loads(call("log", "who", "boss", "-o", "json", *logs)[1])

    assert [(each["user"], each["impersonatedUser"]) for each in document["requests"]] == [("proxy", "boss")]
    assert "3 requests of user al*" in call("log", "who", "al*", *logs)[1]
    assert "1 request of user al*" in call("log", "who", "al*", "--verb", "update", *logs)[1]


@pytest.mark.parametrize(("identity", "count"), [("id-4", 1), ("X509SHA256=aa", 3), ("id", 0), ("X509SHA256", 0)])
def test_a_session_is_an_audit_id_or_a_credential(identity: str, count: int, call: Call, logs: list[object]) -> None:
    """The whole of it: a part is no ID."""
    assert len(json.loads(call("log", "session", identity, "-o", "json", *logs)[1])["requests"]) == count


def test_values_of_a_field(call: Call, logs: list[object]) -> None:
    code, text, _ = call("log", "values", "users", *logs)

    assert code == 0
    assert [each.split()[0] for each in text.splitlines()[1:4]] == ["3", "1", "1"]
    assert "eve" in call("log", "values", "user", "--resource", "secrets", "--verb", "get", *logs)[1]
    assert json.loads(call("log", "values", "verb", "-n", "1", "-o", "json", *logs)[1])["distinct"] == 4


@pytest.mark.parametrize(
    "words",
    [
        ("history", "pods/none"),
        ("who", "nobody"),
        ("session", "none"),
        ("values", "user", "--verb", "patch"),
        ("history", "ns/shop", "--since", "2027-01-01"),
    ],
)
def test_an_empty_answer_tells_how_many_events_were_read(
    words: tuple[str, ...], call: Call, logs: list[object]
) -> None:
    code, text, _ = call("log", *words, *logs)

    assert code == 0
    assert "5 events were read." in text
    assert text.startswith("No ")


@pytest.mark.parametrize("words", [("history", "web"), ("history", "/web"), ("values", "colour")])
def test_what_cannot_be_understood_is_a_usage_error(words: tuple[str, ...], call: Call, logs: list[object]) -> None:
    assert call("log", *words, *logs)[0] == 2


def test_a_kind_that_is_not_built_in_is_taken_as_it_is_written(call: Call, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    reference = {"resource": "widgets", "apiGroup": "example.org", "namespace": "shop", "name": "w"}
    log.write_bytes(line(1, "create", "widgets", "w", objectRef=reference))

    _, text, notes = call("log", "history", "widgets.example.org/w", "--log", log)

    assert "1 request about" in text
    assert "is not a built-in kind" in notes
    assert "No request" in call("log", "history", "widgets.example.com/w", "--log", log)[1]


def test_a_difference_that_cannot_be_known_is_told(call: Call, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(line(1, "update", "configmaps", "c", level="Metadata"))

    assert "needs Request or RequestResponse" in call("log", "history", "cm/c", "--diff", "--log", log)[2]


def test_a_name_of_a_stranger_reaches_no_terminal_as_it_is(call: Call, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(line(1, "update", "configmaps", "c", user={"username": "\x1b[31m"}))

    assert "\x1b" not in call("log", "history", "cm/c", "--log", log)[1]
    assert "\x1b" not in call("log", "values", "user", "--log", log)[1]


@pytest.mark.parametrize(
    ("words", "command"),
    [(("who", "Alice"), "log values user"), (("history", "deploy/nope"), "log values name")],
)
def test_an_answer_without_a_request_names_the_command_that_lists_what_is_there(
    words: tuple[str, ...], command: str, call: Call, logs: list[object]
) -> None:
    code, text, _ = call("log", *words, *logs)

    assert code == 0
    assert text.endswith(f"{command}\n")


@pytest.mark.parametrize("kind", ["gateway", "gateways", "gateways.example.org", "Gateway"])
def test_a_custom_kind_is_known_in_singular_and_plural(kind: str, call: Call, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    reference = {"resource": "gateways", "apiGroup": "example.org", "namespace": "shop", "name": "edge"}
    policy = {**reference, "resource": "gatewaypolicies"}
    log.write_bytes(
        line(1, "update", "gateways", "edge", objectRef=reference)
        + line(2, "update", "gatewaypolicies", "edge", objectRef=policy)
    )
    _, text, notes = call("log", "history", f"{kind}/edge", "--log", log)

    assert text.splitlines()[-1].startswith("1 request about")
    assert "is not a built-in kind" in notes
    assert call("log", "history", "gatewaypolicy/edge", "--log", log)[1].splitlines()[-1].startswith("1 request")


@pytest.mark.parametrize(
    "words",
    [("who", "alice"), ("history", "ns/shop"), ("session", "id-1"), ("values", "user"), ("tail",), ("filter", "--policy", "metadata")],
)  # fmt: skip
def test_a_file_that_is_no_audit_log_is_named_so_and_ends_with_one(
    words: tuple[str, ...], call: Call, tmp_path: Path
) -> None:
    log = tmp_path / "audit.log"
    log.write_text('2016-06-29T18:42:31+02:00 AUDIT: id="c1" ip="::1" method="GET" user="alice"\n')
    code, _, notes = call("log", *words, "--log", log)

    assert code == 1
    assert "This is no audit log" in notes
    assert "the text format of Kubernetes before 1.8" in notes


@pytest.mark.parametrize("command", ["tail", "top", "stats"])
def test_an_empty_log_is_said_to_be_empty(command: str, call: Call, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.touch()
    code, text, notes = call("log", command, log)

    assert code == 0
    assert "The log has no event." in text + notes
    assert "0.0 events" not in text
