"""A compiled policy decides as the policy itself does."""

from __future__ import annotations

import gzip
import json
from dataclasses import astuple
from pathlib import Path

import pytest
from drawn_requests import METHODS, URLS
from hypothesis import given
from hypothesis import strategies as st

from auditctl.policy.compiled import Compiled
from auditctl.policy.evaluate import evaluate
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
