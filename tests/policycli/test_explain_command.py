"""`policy explain`: one request with its reasons, many requests as the server decides them."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditctl.operations.policy.explain_many import _lines
from auditctl.policy.compiled import Compiled
from auditctl.policy.evaluate import evaluate
from auditctl.policy.fast_request import take_apart
from auditctl.policy.load import load
from auditctl.policy.request import RequestError, attributes
from auditctl.policy.types import GroupResources, Level, Policy, PolicyRule, Stage, User

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


def test_a_compiled_policy_decides_every_recorded_request_alike() -> None:
    for case in CASES:
        decider = Compiled(load(json.dumps(case["policy"]).encode()).policy or Policy(()))
        for request, recorded in zip(case["requests"], case["decisions"], strict=True):
            if "error" in recorded:
                with pytest.raises(RequestError):
                    decider.request(request["method"], request["url"], request["user"], request["groups"] or ())
                continue
            rule, found = decider.request(request["method"], request["url"], request["user"], request["groups"] or ())
            decision = decider.decisions[rule]
            assert (rule, decision.rule, decision.level.value) == (
                recorded["rule"],
                recorded["rule"],
                recorded["level"],
            )
            assert list(found) == list(recorded["info"].values())


WORDS = st.sampled_from(["", "a", "b", "*", "a/b", "a/*", "*/b", "*/*", "/a", "/a*", "/a/b*"])
SOME = st.lists(WORDS, max_size=2).map(tuple)
ENTRIES = st.builds(GroupResources, st.sampled_from(["", "a", "*"]), SOME, SOME)
RULES = st.builds(
    PolicyRule,
    level=st.sampled_from(Level),
    users=SOME,
    user_groups=SOME,
    verbs=st.lists(st.sampled_from(["get", "list", "watch", "create", "proxy", "deletecollection"]), max_size=2).map(
        tuple
    ),
    resources=st.lists(ENTRIES, max_size=2).map(tuple),
    namespaces=SOME,
    non_resource_urls=SOME,
    omit_stages=st.lists(st.sampled_from(Stage), max_size=2).map(tuple),
    omit_managed_fields=st.sampled_from([None, True, False]),
)
POLICIES = st.builds(Policy, st.lists(RULES, max_size=5).map(tuple), st.just((Stage.PANIC,)), st.booleans())
PARTS = st.sampled_from(
    ["a", "b", "namespaces", "status", "finalize", "watch", "proxy", "api", "apis", "v1", "", "%61", "%zz", "ä", "\t"]
)
QUERIES = st.sampled_from(
    [
        "",
        "?",
        "?watch",
        "?watch=1",
        "?watch=FALSE",
        "?watch=0&x",
        "?x&watch=true",
        "?watch;=1",
        "?wat%63h=1",
        "?watchx=1",
        "?fieldSelector=metadata.name%3Da",
        "?fieldSelector=metadata.name=a&limit=x",
        "?limit=1&watch=",
        "?fieldSelector=metadata.name=web-0.x&watch=1",
        "?fieldSelector=spec.nodeName%3Da",
        "?fieldSelector=metadata.name%3d..&resourceVersion=1",
        "?fieldSelector=metadata.name=a&fieldSelector=metadata.name=b",
        "?fieldSelector=metadata.name=a%zz",
        "?labelSelector=a%3Db&limit=500",
        "?x=%zz&watch=1",
        "?watch=%31",
        "?watch&watch=0",
        "?watch+=1",
        "?watch=fal\u017fe",
        "?watch=0&watch=1",
        "?labelSelector=%21%21&watch=1",
        "?resourceVersion=1&timeoutSeconds=9",
    ]
)
URLS = st.builds(
    lambda head, parts, query: head + "/".join(parts) + query,
    st.sampled_from(["/api/v1/", "/apis/a/v1/", "/", "", "http://h/api/v1/"]),
    st.lists(PARTS, max_size=6),
    QUERIES,
)
METHODS = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "get"])


@given(METHODS, URLS)
def test_a_plain_request_is_taken_apart_alike(method: str, url: str) -> None:
    plain = take_apart(method, url)
    if plain is not None:
        assert plain == astuple(attributes(method, url, None))[1:]


@given(POLICIES, METHODS, URLS, st.none() | WORDS, st.lists(WORDS, max_size=2))
def test_a_compiled_policy_decides_alike(
    policy_drawn: Policy, method: str, url: str, user: str | None, groups: list[str]
) -> None:
    decider = Compiled(policy_drawn)
    try:
        asked = attributes(method, url, None if user is None else User(user, tuple(groups)))
    except RequestError:
        return
    rule, found = decider.request(method, url, user, groups)
    assert (decider.decisions[rule], found) == (evaluate(policy_drawn, asked), astuple(asked)[1:])


def test_what_is_kept_of_resources_has_a_bound() -> None:
    decider = Compiled(load(TEXT.encode()).policy or Policy(()))
    for index in range(5000):
        assert decider.request("GET", f"/apis/apps/v1/things{index}", "a", ())[0] == 1
    assert len(decider._targets) == 4096


def test_a_decision_is_told_with_its_place_and_reasons(policy: Call, file: Path) -> None:
    url = "/api/v1/namespaces/default/pods/web-0/exec"
    hint = "kubectl's exec is a GET over WebSockets, a POST else"
    ran = policy("explain", file, "get", "pods/exec", "web-0", "in", "default", "by", "alice")
    assert (ran.code, ran.out.splitlines()) == (
        0,
        [
            "get pods/exec web-0 in default by alice",
            "level None: no rule applies, so nothing is recorded",
            f"rules[0] ({file}:5) does not apply: verbs [create] does not hold 'get'",
            f"rules[1] ({file}:8) does not apply: resources[].group [apps] does not hold ''",
            f"rules[2] ({file}:11) does not apply: it is for non-resource URLs, and {url!r} is a resource",
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
