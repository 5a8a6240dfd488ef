"""`status -o prometheus`: the text format, the values of broken nodes, and the alert rules that use them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from auditctl import facts
from auditctl.cli.app import run
from auditctl.errors import UsageError
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.enable import EnableRequest, enable
from auditctl.operations.status import status
from auditctl.operations.status_metrics import (
    FILES,
    Metric,
    MetricSample,
    exposition,
    metrics_of,
    status_metrics,
    template_text,
)
from auditctl.settings import Settings

NO_WAIT = ChangeOptions(wait=False)
LOG = "var/log/kubernetes/audit/audit.log"
EVENT = '{{"kind":"Event","auditID":"a","stageTimestamp":"{}"}}\n'
promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")


def samples(text: str) -> dict[str, float]:
    rows = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in rows}


def test_the_format_is_the_collectors_own() -> None:
    metrics = [
        Metric("m_total", "Help.", "counter", (MetricSample(1, (("check", 'a"b\\c\nd'),)), MetricSample(2.5))),
        Metric("empty", "Not known.", "gauge", ()),
    ]

    assert exposition(metrics) == (
        '# HELP m_total Help.\n# TYPE m_total counter\nm_total{check="a\\"b\\\\c\\nd"} 1\nm_total 2.5\n'
    )


def test_auditing_off_is_a_zero_and_the_exit_code_is_zero(folder_node: ControlPlane) -> None:
    result = status_metrics(folder_node)

    assert result.exit_code == 0
    found = samples(result.text("prometheus"))
    assert found["auditctl_auditing_enabled"] == 0
    assert "auditctl_log_bytes" not in found


def test_the_log_is_measured_with_its_rotated_files(folder_node: ControlPlane) -> None:
    enable(folder_node, EnableRequest(Settings()), NO_WAIT)
    log = folder_node.rootfs / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(EVENT.format("2026-11-21T20:00:00.000000Z"))
    (log.parent / "audit-2026-11-20T20-00-00.000.log").write_text(EVENT.format("2026-11-19T20:00:00.000000Z"))
    (log.parent / "notes.txt").write_text("x" * 1000)

    found = samples(status_metrics(folder_node).text("prometheus"))

    now = found["auditctl_status_timestamp_seconds"]
    assert found["auditctl_auditing_enabled"] == 1
    assert found["auditctl_log_files"] == 2
    assert found["auditctl_log_bytes"] == 2 * len(EVENT.format("2026-11-21T20:00:00.000000Z"))
    assert now - found["auditctl_log_last_event_timestamp_seconds"] == pytest.approx(
        found["auditctl_log_last_event_age_seconds"], abs=0.01
    )
    kept = found["auditctl_log_kept_seconds"] - found["auditctl_log_last_event_age_seconds"]
    assert kept == pytest.approx(2 * 86400, abs=0.01)


def test_what_is_not_known_has_no_sample(folder_node: ControlPlane) -> None:
    """No server can be seen behind a root directory: 0 would be an alert."""
    enable(folder_node, EnableRequest(Settings()), NO_WAIT)

    found = samples(status_metrics(folder_node).text("prometheus"))

    for name in ("auditing_recording", "policy_loaded", "apiserver_ready", "process_matches_manifest"):
        assert f"auditctl_{name}" not in found


@pytest.mark.parametrize(
    ("part", "value", "name", "sample"),
    [
        ("auditing", {"state": "recording", "reason": ""}, "auditctl_auditing_recording", 1),
        ("auditing", {"state": "on but not recording", "reason": ""}, "auditctl_auditing_recording", 0),
        ("policy", {"loadedSha256": "a", "onDiskSha256": "a"}, "auditctl_policy_loaded", 1),
        ("policy", {"loadedSha256": "a", "onDiskSha256": "b"}, "auditctl_policy_loaded", 0),
        ("kubeadmConfig", {"kept": False}, "auditctl_kubeadm_config_kept", 0),
        ("process", {"matchesManifest": False}, "auditctl_process_matches_manifest", 0),
        (
            "metrics",
            {"eventTotal": 5, "errorTotal": {"log": 3}, "requestsRejectedTotal": 0},
            'auditctl_events_lost_total{plugin="log"}',
            3,
        ),
        (
            "metrics",
            {"eventTotal": 5, "errorTotal": {}, "requestsRejectedTotal": 0},
            'auditctl_events_lost_total{plugin="webhook"}',
            0,
        ),
    ],
)
def test_each_part_of_the_status_has_its_metric(
    part: str, value: object, name: str, sample: float, folder_node: ControlPlane
) -> None:
    report = status(folder_node)
    row = {**report.details["status"], part: value}

    found = samples(exposition(metrics_of(folder_node, replace(report, details={"status": row}))))

    assert found[name] == sample


def test_the_command_prints_it_and_an_error_never_into_the_file(
    folder_node: ControlPlane, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["auditctl", "--rootfs", str(folder_node.rootfs), "status", "-o", "prometheus"]) == 0
    assert capfd.readouterr().out.startswith("# HELP auditctl_auditing_enabled ")

    assert run(["auditctl", "--rootfs", str(folder_node.rootfs / "none"), "status", "-o", "prometheus"]) > 1
    assert capfd.readouterr().out == ""

    assert run(["auditctl", "status", "-o", "prometheus", "--watch"]) == 2


def test_the_rules_use_only_metrics_that_there_are(folder_node: ControlPlane) -> None:
    text = template_text("alerts").text("text")
    source = Path(metrics_of.__code__.co_filename).read_text()

    rules = YAML(typ="safe").load(text)["groups"][0]["rules"]

    used = {name for rule in rules for name in re.findall(r"auditctl_\w+", rule["expr"])}
    assert {rule["alert"] for rule in rules} == set(_RECORDED)
    assert {name for name in used if f'"{name}"' not in source} == set()


def test_templates_are_printed_and_an_unknown_one_is_refused() -> None:
    for name, file in FILES.items():
        assert template_text(name).text("text") + "\n" == facts.template("prometheus", file).read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="not one of alerts, dashboard, service, timer"):
        template_text("nosuch")


def dashboard_queries() -> list[str]:
    dashboard = json.loads(template_text("dashboard").text("text"))
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    source = Path(metrics_of.__code__.co_filename).read_text()
    used = {name for query in dashboard_queries() for name in re.findall(r"auditctl_\w+", query)}

    # the age in seconds is the time stamp, seen from the time of the collection
    assert used == set(re.findall(r'"(auditctl_\w+)"', source)) - {"auditctl_log_last_event_age_seconds"}


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    panels = json.loads(template_text("dashboard").text("text"))["panels"]
    places = [panel["gridPos"] for panel in panels]
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    assert len({panel["id"] for panel in panels}) == len(panels)


@promtool
def test_promtool_accepts_every_query_of_the_dashboard(tmp_path: Path) -> None:
    queries = [query.replace("$instance", ".*") for query in dashboard_queries()]
    rules = [{"record": f"dashboard:query{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))

    ran = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr


@promtool
def test_promtool_accepts_the_rules_and_the_metrics(folder_node: ControlPlane) -> None:
    rules = str(facts.template("prometheus", "alerts.yaml"))
    subprocess.run(["promtool", "check", "rules", rules], check=True, capture_output=True)
    text = status_metrics(folder_node).text("prometheus") + "\n"

    checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False)

    assert (checked.returncode, checked.stderr) == (0, "")


# alert: when it is judged, and the recorded samples of a broken and of a healthy node
_RECORDED = {
    "AuditingOff": ("8h", {"auditctl_auditing_enabled": ("0x600", "1x600")}),
    "AuditNotRecording": (
        "8h",
        {"auditctl_auditing_recording": ("0x600", "1x600"), "auditctl_auditing_enabled": ("1x600", "1x600")},
    ),
    "AuditPolicyNotLoaded": ("8h", {"auditctl_policy_loaded": ("0x600", "1x600")}),
    "AuditEventsLost": ("8h", {'auditctl_events_lost_total{plugin="log"}': ("0+1x600", "4x600")}),
    "AuditDiskFull": ("8h", {"auditctl_log_disk_free_bytes": ("1000000-1000x600", "100000000-10x600")}),
    "AuditLogNotOpen": ("8h", {'auditctl_findings{check="dead-log",severity="error"}': ("1x600", "0x600")}),
    "AuditSettingsDrift": ("8h", {"auditctl_kubeadm_config_kept": ("0x600", "1x600")}),
    "AuditStatusStale": ("8h", {"auditctl_status_timestamp_seconds": ("0x600", "0+60x600")}),
    "AuditDaysKeptLow": ("49h", {"auditctl_log_kept_seconds": ("86400x3000", "0+60x3000")}),
}


def rule_tests(*, is_broken: bool) -> str:
    text = "evaluation_interval: 1m\nrule_files: [alerts.yaml]\ntests:\n"
    for name, (at, recorded) in _RECORDED.items():
        series = ", ".join(f"{{series: '{each}', values: '{row[not is_broken]}'}}" for each, row in recorded.items())
        text += f"""\
- interval: 1m
  input_series: [{series}]
  promql_expr_test:
  - expr: count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)
    eval_time: {at}
    exp_samples: [{{labels: '{{}}', value: {int(is_broken)}}}]
"""
    return text


@promtool
@pytest.mark.parametrize("is_broken", [True, False], ids=["broken", "healthy"])
def test_each_alert_fires_for_its_state_and_not_on_a_healthy_node(is_broken: bool, tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text(template_text("alerts").text("text"))
    (tmp_path / "test.yaml").write_text(rule_tests(is_broken=is_broken))

    ran = subprocess.run(
        ["promtool", "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
