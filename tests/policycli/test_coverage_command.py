"""`policy coverage`: which detections a policy blinds, as text and as JSON."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditctl.policy.load import load

GOLDEN = Path(__file__).parents[1] / "golden" / "logs" / "request-response-1.36.jsonl"
OWN = """sets:
- set: ours
  detections:
  - name: somebody reads the payroll
    level: Request
    requests: [get secrets payroll in hr by alice]
"""
Call = Callable[..., Any]


def test_what_is_blind_is_named_with_rule_line_and_reason(policy: Call) -> None:
    ran = policy("coverage", "baseline", "--for", "sigma")
    lines = ran.out.splitlines()
    assert ran.code == 1
    assert lines[0] == "sigma: 16 detections: 14 can fire, 0 only in part, 2 never"
    assert lines[1] == (
        "sigma: Container With A hostPath Mount Created: never fires: create pods in prod by alice: rules[3] (line 47): "
        "level Metadata, Request is needed (and 1 more requests)"
    )
    assert lines[-1] == "baseline: 2 of 16 detections can never fire"


def test_the_change_can_be_pasted(policy: Call, tmp_path: Path) -> None:
    """The lines behind the comment, put before the named rule, feed everything."""
    shown = policy("show", "baseline").out.splitlines()
    ran = policy("coverage", "baseline")
    lines = ran.out.splitlines()
    start = lines.index("# before rules[3] (line 47):")
    first = lines.index("# before rules[0] (line 20):")
    changed = [*shown[:19], *lines[first + 1 : start], *shown[19:46], *lines[start + 1 : -1], *shown[46:]]
    file = tmp_path / "policy.yaml"
    file.write_text("\n".join(changed) + "\n")
    assert load(file.read_bytes()).error == ""
    assert policy("coverage", file).code == 0


def test_validate_counts_the_blind_detections_when_it_is_asked_to(policy: Call) -> None:
    """Not by itself: most policies blind some, and a line in every run would be read by nobody."""
    ran = policy("validate", "baseline", "--only", "detection-blind")
    assert re.sub(r" --rootfs \S+", "", ran.out.splitlines()[0]) == (
        "baseline:1:1: info: rules: 31 of 115 public detections can never fire "
        "(see auditctl policy coverage baseline) [detection-blind]"
    )
    assert ran.code == 0
    assert "detection-blind" not in policy("validate", "baseline").out
    assert "detection-blind" not in policy("validate", "detect", "--only", "detection-blind").out


def test_json_has_every_detection_and_the_change(policy: Call) -> None:
    ran = policy("coverage", "forensic", "--for", "falco,elastic", "-o", "json")
    assert ran.code == 1
    assert [(row["set"], row["detections"], row["blind"]) for row in ran.json["sets"]] == [
        ("falco", 48, 1),
        ("elastic", 51, 2),
    ]
    blind = [row for row in ran.json["detections"] if row["state"] == "blind"]
    assert {row["name"] for row in blind} >= {"Kubernetes User Exec into Pod"}
    assert all(row["misses"] and row["path"] for row in blind)
    assert [each["before"] for each in ran.json["change"]["insert"]] == [0, 5, 19]


def test_a_policy_that_feeds_all_is_0(policy: Call) -> None:
    ran = policy("coverage", "detect")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "detect: 0 of 115 detections can never fire")
    assert policy("coverage", "detect", "-o", "json").json["change"] is None


def test_own_detections_have_the_same_format(policy: Call, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(OWN)
    ran = policy("coverage", "baseline", "--for", own, "--for", "sigma")
    assert ran.out.splitlines()[0] == "ours: 1 detections: 0 can fire, 0 only in part, 1 never"
    assert ran.code == 1
    own.write_text("sets: x\n")
    ran = policy("coverage", "baseline", "--for", own)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith(f"auditctl policy coverage: {own}:1:")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--for", "falcon"), 2, "--for falcon: no such set of detections (use falco, sigma, elastic, or a file)"),
        (("--for", "/nonesuch.yaml"), 3, "/nonesuch.yaml"),
        (("--kubernetes", "x"), 2, "--kubernetes x: not a version"),
    ],
)
def test_what_is_not_there_is_said(policy: Call, words: tuple[str, ...], code: int, said: str) -> None:
    ran = policy("coverage", "baseline", *words)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


def test_detect_costs_fewer_events_than_the_baseline_and_fewer_bytes_than_cis(policy: Call) -> None:
    """On an idle node's log; the README has the numbers."""
    cost = {
        name: policy("replay", name, "--log", GOLDEN, "-o", "json").json["predicted"]
        for name in ("detect", "baseline", "cis")
    }
    assert cost["detect"]["events"] < cost["baseline"]["events"]
    assert cost["detect"]["bytes"] < cost["cis"]["bytes"]


def test_recorded_requests_of_the_missed_kinds_are_counted(policy: Call, tmp_path: Path) -> None:
    """In a log and in its tally alike: pods/exec is called twice, secrets are listed once."""
    event = {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "1", "verb": "create",
        "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/a/pods/p/exec", "user": {"username": "alice"},
        "objectRef": {"resource": "pods", "namespace": "a", "name": "p", "subresource": "exec"},
    }  # fmt: skip
    early = {**event, "stage": "RequestReceived"}
    log, tally, blind = tmp_path / "audit.log", tmp_path / "cp1.tally", tmp_path / "p.yaml"
    log.write_text("".join(json.dumps(each, separators=(",", ":")) + "\n" for each in (event, early, event)))
    blind.write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None}]\n")
    command = [sys.executable, "-m", "auditctl", "log", "tally", str(log), "--to", str(tally)]
    subprocess.run(command, check=True, capture_output=True)

    for source in (log, tally):
        found = json.loads(policy("coverage", blind, "--log", source, "-o", "json").out)
        misses = [miss for each in found["detections"] for miss in each["misses"]]
        assert {miss["requestsInLog"] for miss in misses} == {0, 2}
        assert all("exec" in miss["request"] for miss in misses if miss["requestsInLog"])
    assert "2 such requests in the log" in policy("coverage", blind, "--log", tally).out
    assert "such requests" not in policy("coverage", blind).out
