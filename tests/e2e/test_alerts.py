"""The shipped alerts on a lab node that is broken in eight ways, and on the healthy one: judged by promtool itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from nodes import Node

from auditctl import facts

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed"),
]
_SAMPLES = 700
_MINUTES = 5
Samples = dict[str, float]
# in time order: two days
_GROWING = {"auditctl_log_kept_seconds": 300, "auditctl_status_timestamp_seconds": 300, "auditctl_events_total": 60}


def samples(node: Node) -> Samples:
    """What node_exporter would read now, by the metric with its labels."""
    process = node.start("status", "-o", "prometheus")
    text, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    rows = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in rows}


def succeeded(node: Node, *words: str | Path) -> None:
    ran = node.run(*words)
    assert ran.code == 0, ran.stderr


def recorded_states(node: Node) -> dict[str, Samples]:
    """The metrics of one node in eight states, by the alert that each is for; and healthy."""
    found = {"AuditingOff": samples(node)}
    succeeded(node, "enable")
    found["AuditSettingsDrift"] = samples(node)
    succeeded(node, "kubeadm", "persist")
    found["healthy"] = samples(node)
    with node.policy.open("a") as policy:
        policy.write("# edited\n- level: None\n")
    found["AuditPolicyNotLoaded"] = samples(node)
    succeeded(node, "restart", "--allow", "no-receipt")
    node.log.unlink()
    found["AuditLogNotOpen"] = samples(node)
    succeeded(node, "restart", "--allow", "no-receipt")
    for exercise, alert in (("the-log-stays-empty", "AuditNotRecording"), ("full-to-the-brim", "AuditEventsLost")):
        succeeded(node, "lab", "break", exercise)
        samples(node)  # asks the server: what it answers is the next event to be recorded, or lost
        found[alert] = samples(node)
        succeeded(node, "lab", "reset")
    return {**found, "AuditDiskFull": found["healthy"], "AuditDaysKeptLow": found["healthy"]}


def series(alert: str, name: str, value: float) -> str:
    """The samples of two days: what a node that stays in this state goes on to write."""
    step = 0.0
    bare = name.partition("{")[0]
    if bare in _GROWING and alert != "AuditDaysKeptLow":
        step = _GROWING[bare]
    if bare == "auditctl_events_lost_total" and value and alert == "AuditEventsLost":
        step = value  # as many are lost each time as were lost when it was recorded
    if bare == "auditctl_log_disk_free_bytes" and alert == "AuditDiskFull":
        step = -value / (_SAMPLES * 1.1)
    label = f'instance="{alert}"'
    labels = f"{name[:-1]},{label}}}" if name.endswith("}") else f"{name}{{{label}}}"
    return f"    - {{series: '{labels}', values: '{value:.0f}{step:+.0f}x{_SAMPLES}'}}"


def rule_test(states: dict[str, Samples]) -> str:
    rows = [series(alert, name, value) for alert, state in states.items() for name, value in state.items()]
    tests = []
    for alert in states:
        wanted = f'alertname="{alert}",' if alert != "healthy" else ""
        query = f'count(ALERTS{{{wanted}instance="{alert}",alertstate="firing"}}) or vector(0)'
        number = int(alert != "healthy")
        at = f"{(_SAMPLES - 20) * _MINUTES}m"
        tests.append(f"    - {{expr: '{query}', eval_time: {at}, exp_samples: [{{labels: '{{}}', value: {number}}}]}}")
    return "\n".join(
        (
            f"evaluation_interval: {_MINUTES}m", "rule_files: [alerts.yaml]", "tests:", f"  - interval: {_MINUTES}m",
            "    input_series:", *rows, "    promql_expr_test:", *tests, "",
        )
    )  # fmt: skip


def test_an_alert_fires_for_each_broken_state_of_a_node_and_none_on_the_healthy_one(node: Node, tmp_path: Path) -> None:
    states = recorded_states(node)
    rules = facts.template("prometheus", "alerts.yaml").read_text(encoding="utf-8")
    alerts = set(re.findall(r"alert: (\w+)", rules))
    (tmp_path / "alerts.yaml").write_text(rules)
    (tmp_path / "test.yaml").write_text(rule_test(states))

    assert set(states) - {"healthy"} == alerts - {"AuditStatusStale"}
    ran = subprocess.run(
        ["promtool", "test", "rules", "test.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
