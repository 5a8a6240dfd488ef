"""No input makes a traceback, and none takes more than a linear amount of work."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from auditctl import facts
from auditctl.errors import AuditctlError
from auditctl.operations.policy.matrix import api, person_of
from auditctl.operations.policy_files import built_in
from auditctl.policy.convert import convert
from auditctl.policy.evaluate import evaluate
from auditctl.policy.expectations import read_expectations
from auditctl.policy.explain import explain
from auditctl.policy.lint import warnings
from auditctl.policy.load import load
from auditctl.policy.matrix import matrix
from auditctl.policy.matrix_html import Page, page
from auditctl.policy.matrix_lines import extents
from auditctl.policy.request import RequestError, attributes
from auditctl.policy.shorthand import parse
from auditctl.policy.types import Policy

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "policy" / "load.jsonl"
TEXTS = [json.loads(line)["policy"] for line in GOLDEN.read_text().splitlines()]
PIECES = ["\n", "\n- ", "\t", " ", ": ", ":", "? ", "&a ", "*a", "<<: ", "|\n ", ">-\n", "'", '"', "\\", "{", "}", "[", "]",
          ",", "#", "!", "!!int ", "%", "---\n", "...\n", "\x00", "\ufeff", "\x85", "\r", "é", "0x1f", "~", "y"]  # fmt: skip
VERSIONS = st.sampled_from([(1, 19), (1, 25), (1, 31), (1, 36)])
relaxed = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def judge(raw: bytes, version: tuple[int, int]) -> None:
    loaded = load(raw, version)
    assert (loaded.policy is None) == bool(loaded.error)
    assert bool(loaded.findings) >= bool(loaded.error or loaded.warning or loaded.dropped)


@relaxed
@given(st.binary(max_size=400), VERSIONS)
@example(b"", (1, 36))
@example(b"{", (1, 36))
@example(b'{"a":"', (1, 36))
@example(b"k8s\0", (1, 36))
def test_any_bytes_are_judged(raw: bytes, version: tuple[int, int]) -> None:
    judge(raw, version)


@relaxed
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), VERSIONS)
def test_any_heap_of_indicators_is_judged(text: str, version: tuple[int, int]) -> None:
    judge(text.encode(), version)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(["", *PIECES])) + text[at + draw(st.integers(0, 3)) :]
    return text.encode()


@relaxed
@given(damaged(), VERSIONS)
def test_any_damaged_policy_is_judged(raw: bytes, version: tuple[int, int]) -> None:
    judge(raw, version)


SHELL, SCRIPT = (facts.template(f"matrix.{kind}").read_text() for kind in ("html", "js"))
PEOPLE = [person_of(words) for words in ("admin", "node", "nobody")]


def use(raw: bytes, policy: Policy) -> None:
    """Whatever else there is to be said of a policy that a server loads."""
    warnings(raw, policy, built_in())
    for text in ("get secrets db in default", "create pods/exec web in a by alice", "GET /healthz"):
        assert explain(policy, parse(text)).decision == evaluate(policy, parse(text))
    drawn = matrix(policy, PEOPLE, api((1, 36)), (1, 36))
    lines = extents(raw, policy)
    assert all(first <= last for first, last in lines)
    page(Page(name="p", server="s", raw=raw, policy=policy, matrix=drawn, lines=lines), SHELL, SCRIPT)


@relaxed
@given(damaged())
@example(b"apiVersion: audit.k8s.io/v1\nrules: [{level: RequestResponse}]\nx: " + b"[" * 5000 + b"]" * 5000)
@example(b'{"apiVersion":"audit.k8s.io/v1","rules":[{"level":"None"},{"level":"None"}],"rules":[{"level":"Request"}]}')
@example("apiVersion: audit.k8s.io/v1\rrules:\x85- {level: None,\u2028   users: ['\U0001f600']}\n".encode())
@example("apiVersion: audit.k8s.io/v1\nrules: [{level: None}]\n".encode("utf-16"))
def test_any_policy_that_loads_is_linted_explained_converted_and_drawn(raw: bytes) -> None:
    policy = load(raw).policy
    if policy is not None:
        use(raw, policy)
    for read in (convert, read_expectations):
        with contextlib.suppress(AuditctlError):
            read(raw)


@relaxed
@given(st.sampled_from(["GET", "POST", "get", ""]), st.text(max_size=60).map(lambda tail: "/" + tail))
def test_any_url_is_parsed_or_refused(method: str, url: str) -> None:
    with contextlib.suppress(RequestError):
        assert attributes(method, url, None).path is not None


@relaxed
@given(st.text(max_size=60))
def test_any_shorthand_is_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(AuditctlError):
        assert parse(text).user is not None


def work(raw: bytes) -> int:
    """Calls of Python and of C functions while ``raw`` is loaded: what does not depend on the machine."""
    count = 0

    def tick(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(tick)
    try:
        load(raw)
    finally:
        sys.setprofile(None)
    return count


HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n"
RULE = "- level: Metadata\n  users: [a, b]\n  resources:\n  - group: ''\n    resources: [pods, secrets]\n"
GROWING: dict[str, Callable[[int], str]] = {
    "rules": lambda n: HEAD + RULE * (n // 20),
    "a flow list": lambda n: HEAD + "- level: None\n  users: [" + "a," * n + "]\n",
    "flow pairs": lambda n: "[" + "a: b," * n + "]",
    "open brackets": lambda n: "[" * n,
    "open braces": lambda n: "#\n" + "{" * n,
    "nested flow": lambda n: HEAD + "- x: " + "[" * n + "]" * n,
    "dashes": lambda n: "- " * n,
    "question marks": lambda n: "? " * n,
    "colons": lambda n: ":" * n + " " + ": " * n,
    "blank lines": lambda n: "a: b\n" + "\n" * n + "c: d",
    "a folded scalar": lambda n: "a: >\n" + "  b\n\n" * n,
    "a quoted scalar": lambda n: 'a: "' + "b\n\n " * n + '"',
    "comments": lambda n: "# a\n" * n,
    "unknown fields": lambda n: HEAD + "- level: None\n" + "".join(f"  levle{i}: 1\n" for i in range(n)),
    "repeated keys": lambda n: HEAD + "- level: None\n" + "  level: None\n" * n,
    "aliases": lambda n: HEAD + "- &r {level: None, users: [a]}\n" + "- *r\n" * n,
    "merge keys": lambda n: HEAD + "- &r {level: None, users: [a]}\n" + "- <<: *r\n" * n,
    "wrong levels": lambda n: HEAD + "- level: x\n" * n,
    "JSON": lambda n: '{"rules":[' + '{"level":"None"},' * n + "{}]}",
    "open JSON": lambda n: '{"a":' + "[" * n,
    "a JSON string": lambda n: '{"a":"' + "\\u0041" * n + '"}',
}


@pytest.mark.parametrize("shape", GROWING)
def test_twice_the_text_is_twice_the_work(shape: str) -> None:
    once, twice = (work(GROWING[shape](size).encode()) for size in (1000, 2000))
    assert twice < 2.3 * once + 2000


@pytest.mark.parametrize("key", ["9" * 5000, "0x" + "f" * 5000, "." + "1" * 5000, "a." * 30000, "*" * 30000])
def test_long_words_are_no_trap(key: str) -> None:
    for text in (f"? {key}\n: 1\n", HEAD + f"- level: {key}\n  resources: [{{group: '{key}'}}]\n"):
        judge(text.encode(), (1, 36))


def test_a_bomb_of_aliases_is_defused_early() -> None:
    lines = ["a0: &a0 [" + "x," * 9 + "x]"] + [f"a{i}: &a{i} [{f'*a{i - 1},' * 9}]" for i in range(1, 60)]
    assert "excessive aliasing" in load("\n".join(lines).encode()).error
    assert work("\n".join(lines).encode()) < 100_000
