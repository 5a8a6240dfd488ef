"""`policy explain`: one request with its reasons, many requests as the server decides them."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditctl.operations.policy.explain_many import _lines

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "policy" / "decisions.jsonl.gz"

CASES = [json.loads(line) for line in gzip.decompress(GOLDEN.read_bytes()).splitlines()]

TEXT = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: RequestResponse
  verbs: [create]
  resources: [{group: "", resources: [pods/exec]}]
- level: Request
  omitManagedFields: true
  resources: [{group: apps}]
- level: None
  nonResourceURLs: [/healthz*]
"""


Call = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(TEXT)
    return path


def test_every_recorded_request_is_decided_as_the_server_did(policy: Call, tmp_path: Path) -> None:
    for case in CASES[:40]:
        asked, rules = tmp_path / "requests.jsonl", tmp_path / "policy.json"
        rules.write_text(json.dumps(case["policy"]))
        asked.write_text("".join(json.dumps(request) + "\n" for request in case["requests"]))
        ran = policy("explain", rules, "--requests", asked, "-o", "json")
        assert ran.code == 0
        assert list(ran.json) == ["decisions"]
        for got, recorded in zip(ran.json["decisions"], case["decisions"], strict=True):
            if "error" in recorded:
                assert list(got) == ["error"]
            else:
                assert got == {
                    **{key: recorded[key] for key in recorded if key != "info"},
                    "attributes": recorded["info"],
                }


def test_a_decision_is_told_with_its_place_and_reasons(policy: Call, file: Path) -> None:
    url = "/api/v1/namespaces/default/pods/web-0/exec"
    hint = "kubectl's exec is a GET over WebSockets, a POST else"
    ran = policy("explain", file, "get", "pods/exec", "web-0", "in", "default", "by", "alice")
    assert (ran.code, ran.out.splitlines()) == (
        0,
        [
            "get pods/exec web-0 in default by alice",
            "level None: no rule applies, so nothing is recorded",
            f"rules[0] ({file}:5) does not apply: verbs [create] does not include 'get'",
            f"rules[1] ({file}:8) does not apply: resources[].group [apps] does not include ''",
            f"rules[2] ({file}:11) does not apply: the rule is for non-resource URLs; {url!r} is a resource",
            f"nearest: rules[0] would have applied had the verb been 'create': {hint}",
        ],
    )


def test_what_will_be_written_is_told(policy: Call, file: Path) -> None:
    out = policy("explain", file, "create deployments.apps in default").out
    assert f"level Request, by rules[1] ({file}:8)" in out
    assert "events: ResponseComplete, with metadata" in out
    assert "the answer's code), requestObject\n" in out
    assert "managed fields are left out of the bodies" in out
    assert "such a request has no body" in policy("explain", file, "get deployments.apps x in default").out
    file.write_text(TEXT.replace("- level: None", "- level: RequestResponse\n  omitStages: [ResponseComplete]"))
    assert "no event is written" in policy("explain", file, "GET /healthz").out


def test_the_object_is_the_contracts(policy: Call, file: Path) -> None:
    (row,) = policy("explain", file, "GET /healthz", "-o", "json").json["decisions"]
    assert row == {
        "level": "None",
        "omitStages": ["RequestReceived"],
        "omitManagedFields": False,
        "rule": 2,
        "attributes": {
            "isResourceRequest": False,
            "verb": "get",
            "apiGroup": "",
            "apiVersion": "",
            "namespace": "",
            "resource": "",
            "subresource": "",
            "name": "",
            "path": "/healthz",
        },
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--verb", "get", "--resource", "pods/log", "--name", "web", "--namespace", "x"], "get pods/log web in x"),
        (["--verb", "patch", "--resource", "deployments/scale", "--group", "apps"], "patch deployments/scale.apps"),
        (["--url", "/api/v1/pods?watch=1", "--user", "bob"], "watch pods by bob"),
        (["--method", "post", "--url", "/version", "--user", "", "--user-group", "x"], "post /version without a user"),
        (["--verb", "get", "--resource", "pods", "--user", "Jane Doe"], "get pods by Jane Doe"),
    ],
)
def test_a_request_may_be_given_by_options(policy: Call, file: Path, options: list[str], words: str) -> None:
    assert policy("explain", file, *options).out.splitlines()[0].startswith(words)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 2),
        (["get"], 2),
        (["get pods", "--requests", "x"], 2),
        (["get pods", "--user", "x"], 2),
        (["--verb", "get"], 2),
        (["--verb", "get", "--resource", "a b"], 2),
        (["--url", "/x", "--verb", "get"], 2),
        (["GET /%zz"], 3),
        (["--requests", "/nonesuch"], 3),
        (["--requests", "/"], 3),
    ],
)
def test_what_is_no_request_is_told(policy: Call, file: Path, words: list[str], code: int) -> None:
    ran = policy("explain", file, *words)
    assert (ran.code, ran.out) == (code, "")
    assert "Traceback" not in ran.err


def test_a_line_that_is_no_request_is_an_error_and_the_others_are_decided(
    policy: Call, file: Path, tmp_path: Path
) -> None:
    good = '{"user": null, "groups": null, "method": "GET", "url": "/healthz"}'
    bad = [
        "{",
        "[]",
        "1 2",
        '{"method": "GET"}',
        good + "x",
        '{"user": 1, "method": "GET", "url": "/"}',
        "\\",
        "[" * 10**5,
    ]
    bad += ['{"user": "a", "groups": [[]], "method": "GET", "url": "/"}', good.replace("/healthz", "/%zz")]
    path = tmp_path / "requests"
    path.write_text("\n".join([good, *bad[:8], "", good, bad[9]]) + "\n")
    rows = policy("explain", file, "--requests", path, "-o", "json").json["decisions"]
    assert [row.get("rule", "error") for row in rows] == [2, *["error"] * 8, 2, "error"]
    assert policy("explain", file, "--requests", path).out.count("error") == 9
    assert policy("explain", file, "--requests", path, "-o", "yaml").out.startswith('decisions:\n- {"level": "None"')
    path.write_bytes(b"\xff\n")
    assert "error" in policy("explain", file, "--requests", path, "-o", "json").json["decisions"][0]


@pytest.mark.parametrize(
    ("output", "text"), [("json", '{"decisions": []}\n'), ("yaml", "decisions: []\n"), ("text", "")]
)
def test_no_requests_are_no_decisions(policy: Call, file: Path, tmp_path: Path, output: str, text: str) -> None:
    path = tmp_path / "requests"
    path.write_text("")
    assert policy("explain", file, "--requests", path, "-o", output).out == text


def test_more_than_a_piece_is_one_document(policy: Call, file: Path, tmp_path: Path) -> None:
    path = tmp_path / "requests"
    path.write_text('{"user": "a", "groups": [], "method": "GET", "url": "/x"}\n' * 2500)
    assert len(policy("explain", file, "--requests", path, "-o", "json").json["decisions"]) == 2500
    assert policy("explain", file, "--requests", path, "-o", "yaml").out.count("\n- ") == 2500
    assert policy("explain", file, "--requests", path).out.count("\n") == 2500


def test_a_policy_that_the_server_refuses_is_not_explained(policy: Call, file: Path) -> None:
    file.write_text(TEXT.replace("level: None", "level: none"))
    ran = policy("explain", file, "get pods")
    assert (ran.code, ran.out) == (3, "")
    assert f"{file}:11:10: error: rules[2].level" in ran.err
    assert policy("explain", file, "get pods", "-o", "json").json["exitCode"] == 3


def test_a_dropped_field_is_a_note_on_stderr(policy: Call, file: Path) -> None:
    file.write_text(TEXT.replace("omitManagedFields", "omitManagedField"))
    ran = policy("explain", file, "create deployments.apps")
    assert ran.code == 0
    assert "warning: rules[1].omitManagedField" in ran.err
    assert policy("explain", file, "create deployments.apps", "-q").err == ""


def test_both_from_standard_input_is_a_contradiction(policy: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert policy("explain", "-", "--requests", "-").code == 2


def test_a_line_without_an_end_costs_no_memory_and_is_one_error(policy: Call, file: Path, tmp_path: Path) -> None:
    """A file may be anything; the lines behind it are decided."""
    path = tmp_path / "requests"
    path.write_text("0" * (3 << 20) + '\n{"user": "a", "method": "GET", "url": "/healthz"}\n')

    rows = policy("explain", file, "--requests", path, "-o", "json").json["decisions"]

    assert [set(row) & {"error", "level"} for row in rows] == [{"error"}, {"level"}]


def test_no_more_than_the_limit_is_held_of_a_line() -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            buffer[:] = bytes(len(buffer))
            return len(buffer)

    assert len(next(_lines(io.BufferedReader(Endless())))) == 1 << 20
