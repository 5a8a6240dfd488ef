"""The API server's own loader and evaluator, recorded (tests/golden/policy): ours says the same, word for word."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auditctl.policy.evaluate import evaluate
from auditctl.policy.load import load
from auditctl.policy.request import RequestError, attributes
from auditctl.policy.types import Attributes, Decision, User

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "policy"

LOADS = [json.loads(line) for line in (GOLDEN / "load.jsonl").read_text().splitlines()]
POLICIES = [json.loads(line) for line in gzip.decompress((GOLDEN / "decisions.jsonl.gz").read_bytes()).splitlines()]


def strict(warning: str) -> str:
    """The recorded warning, where it is one: for a refused text the same field holds the error."""
    return warning if warning.startswith("strict decoding error") else ""


def dropped(warning: str) -> tuple[str, ...]:
    return tuple(json.loads(f'"{path}"') for path in re.findall(r'unknown field "((?:[^"\\]|\\.)*)"', strict(warning)))


@pytest.mark.parametrize("case", LOADS, ids=lambda case: case["name"])
def test_a_text_is_judged_as_1_36_judges_it(case: dict[str, str]) -> None:
    loaded = load(case["policy"].encode())
    assert (loaded.error, loaded.warning) == (case["error"], strict(case["warning"]))
    assert loaded.dropped == dropped(case["warning"])
    assert (loaded.policy is None) == bool(case["error"])


@pytest.mark.parametrize("case", LOADS, ids=lambda case: case["name"])
def test_a_text_is_judged_as_1_31_judges_it(case: dict[str, str]) -> None:
    assert load(case["policy"].encode(), (1, 31)).error == case["error_1.31"]


@pytest.mark.parametrize("case", LOADS, ids=lambda case: case["name"])
def test_whatever_is_wrong_is_told_with_its_place(case: dict[str, str]) -> None:
    loaded = load(case["policy"].encode())
    assert bool(loaded.findings) == bool(case["error"] or case["warning"])
    lines = case["policy"].count("\n") + case["policy"].count("\r") + 2
    # an alias bomb or a bad key type is a complaint about the whole text: no line
    assert all(0 <= finding.line <= lines for finding in loaded.findings)
    assert all(finding.message for finding in loaded.findings)


def generated() -> Iterator[tuple[bytes, dict[str, str]]]:
    for line in gzip.decompress((GOLDEN / "texts.jsonl.gz").read_bytes()).splitlines():
        row = json.loads(line)
        yield base64.b64decode(row["base64"]) if "base64" in row else row["text"].encode(), row


def test_generated_texts_are_judged_as_1_36_and_1_31_judge_them() -> None:
    for raw, row in generated():
        loaded = load(raw)
        assert (loaded.error, loaded.warning, loaded.dropped) == (
            row["error"],
            row["warning"],
            dropped(row["warning"]),
        ), raw
        assert load(raw, (1, 31)).error == row.get("error_1.31", row["error"]), raw


def as_recorded(decision: Decision, found: Attributes) -> dict[str, Any]:
    return {
        "level": decision.level.value,
        "omitStages": [stage.value for stage in decision.omit_stages],
        "omitManagedFields": decision.omit_managed_fields,
        "rule": decision.rule,
        "info": {
            "isResourceRequest": found.is_resource_request,
            "verb": found.verb,
            "apiGroup": found.api_group,
            "apiVersion": found.api_version,
            "namespace": found.namespace,
            "resource": found.resource,
            "subresource": found.subresource,
            "name": found.name,
            "path": found.path,
        },
    }


def decided(case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    policy = load(json.dumps(case["policy"]).encode()).policy
    assert policy is not None
    for request in case["requests"]:
        try:
            found = attributes(request["method"], request["url"], User(request["user"], tuple(request["groups"] or ())))
        except RequestError:
            yield {"error": True}
        else:
            yield as_recorded(evaluate(policy, found), found)


def test_every_request_is_parsed_and_decided_as_1_36_does() -> None:
    for case in POLICIES:
        for request, got, recorded in zip(case["requests"], decided(case), case["decisions"], strict=True):
            expected = {"error": True} if "error" in recorded else recorded
            assert got == expected, (request, case["policy"])


def policy_faults() -> list[Any]:
    rows = [json.loads(line) for line in (GOLDEN.parent / "crashes" / "apiserver.jsonl").read_text().splitlines()]
    return [row for row in rows if row["fault"].startswith("policy-") and "failed to read file path" not in str(row)]


# the policies behind the recorded crashes, as far as their flags tell them apart
CRASHING = {
    "empty": "",
    "norules": "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: []\n",
    "lvl": "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metada\n",
    "nolvl": "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- verbs: [get]\n",
    "stage": "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestResponse]\nrules:\n- level: None\n",
    "seed": "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\nomitStages:\n- RequestResponse\n- level: None\n",
    "grp": "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n  resources:\n  - group: apps/v1\n",
    "star": "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n  resources:\n  - group: '*'\n",
    "old": "apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules:\n- level: None\n",
    "noapi": "kind: Policy\nrules:\n- level: None\n",
    "ind": "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n verbs: [get]\n",
    "tpl": "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: {{ level }}\n",
    "both": "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n"
    "- level: None\n  namespaces: [a]\n  nonResourceURLs: ['/api*']\n",
    "unk": "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n  resource: []\n",
}


@pytest.mark.parametrize("row", policy_faults(), ids=lambda row: f"{row['kubernetes']}-{row['fault']}")
def test_a_crash_is_predicted_in_the_server_s_last_words(row: dict[str, Any]) -> None:
    name = row["flags"][0].rpartition("/")[2].removesuffix(".yaml")
    loaded = load(CRASHING[name].encode(), (1, int(row["kubernetes"].partition(".")[2])))
    assert bool(loaded.error) == row["exits"]
    said = "\n".join(row["log"])
    for words in filter(None, (loaded.error, loaded.warning)):
        assert words in said.replace('\\"', '"').replace("\\\\", "\\")
