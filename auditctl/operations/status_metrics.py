"""``status -o prometheus``: the state of auditing in the text format that node_exporter's textfile collector reads.

The format: `github.com/prometheus/docs` exposition formats, version 0.0.4. What is not known has no sample, so that an
alert on 0 does not fire for it; the alert rules in ``templates/prometheus`` use these names.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from auditctl import facts
from auditctl.compatibility import UTC, datetime_of
from auditctl.errors import RefusedError, UsageError
from auditctl.log import sources
from auditctl.node.logfiles import log_files, rotated_files
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.status import status
from auditctl.report import Report

FILES: Mapping[str, tuple[str, str]] = {
    "alerts": ("prometheus", "alerts.yaml"),
    "dashboard": ("prometheus", "dashboard.json"),
    "service": ("prometheus", "auditctl-status.service"),
    "timer": ("prometheus", "auditctl-status.timer"),
    "rbac": ("rbac", "auditctl-status.yaml"),
}
PLUGINS = ("log", "webhook", "buffered", "truncate")
_ESCAPES = {"\\": r"\\", '"': r"\"", "\n": r"\n"}


class MetricSample(NamedTuple):
    """A value of a metric; ``labels`` are pairs."""

    value: float
    labels: tuple[tuple[str, str], ...] = ()


class Metric(NamedTuple):
    """A metric with its samples; ``kind`` is gauge or counter."""

    name: str
    text: str
    kind: str
    samples: tuple[MetricSample, ...]


def status_metrics(plane: ControlPlane) -> CommandResult:
    """Return the metrics of ``status``; the exit code is 0 where they could be collected, for the values tell the state.

    Raises:
        RefusedError: there is no such root directory.
    """
    report = status(plane)
    text = exposition(metrics_of(plane, report))
    return CommandResult(document=report.to_dict(), summary=text.rstrip("\n"))


def template_text(name: str) -> CommandResult:
    """Return the shipped alert rules, Grafana dashboard, systemd service or timer, or the rights of ``--server``.

    Raises:
        UsageError: there is no such template.
    """
    if name not in FILES:
        raise UsageError(f"--template {name}: not one of {', '.join(FILES)}")
    text = facts.template(*FILES[name]).read_text(encoding="utf-8")
    return CommandResult(document={"template": name, "text": text}, summary=text.rstrip("\n"))


def exposition(metrics: Iterable[Metric]) -> str:
    """Return the metrics as text; a metric without samples is left out."""
    return "".join(f"{line}\n" for metric in metrics if metric.samples for line in _metric_lines(metric))


def metrics_of(plane: ControlPlane, report: Report) -> list[Metric]:
    """Return the metrics of a report of ``status``, and of the files of the log that it names."""
    row: dict[str, Any] = report.details["status"]
    now = plane.clock.utc()
    log = Path(row["log"]["path"]) if row["log"] is not None else None
    return [
        *_state(row),
        *_counters(row["metrics"]),
        *(_log(log, row["log"]["lastEvent"], now) if log is not None else ()),
        _findings(report),
        _gauge("auditctl_status_timestamp_seconds", "When these metrics were collected.", now.timestamp()),
    ]


def _state(row: Mapping[str, Any]) -> Iterator[Metric]:
    state, policy, process = row["auditing"]["state"], row["policy"], row["process"]
    is_recording = {"recording": 1, "on but not recording": 0, "off": 0}.get(state)
    is_loaded = None
    if policy is not None and policy["loadedSha256"] is not None:
        is_loaded = policy["loadedSha256"] == policy["onDiskSha256"]
    yield _gauge("auditctl_auditing_enabled", "The manifest sets a policy and a log or webhook.", row["enabled"])
    yield _gauge("auditctl_auditing_recording", "Requests are recorded; no sample if unknown.", is_recording)
    yield _gauge("auditctl_apiserver_ready", "The API server of this node is ready.", row["apiServer"]["ready"])
    yield _gauge(
        "auditctl_process_matches_manifest",
        "The API server was started with the manifest's command line.",
        process["matchesManifest"] if process is not None else None,
    )
    yield _gauge("auditctl_policy_loaded", "The policy file is the one that the API server loaded.", is_loaded)
    yield _gauge(
        "auditctl_kubeadm_config_kept",
        "kubeadm-config has the audit settings, so that an upgrade keeps them.",
        row["kubeadmConfig"]["kept"],
    )


def _counters(row: Mapping[str, Any] | None) -> Iterator[Metric]:
    """Yield the API server's own counters; they begin at 0 with its process, as counters may."""
    if row is None:
        return
    errors = {**dict.fromkeys(PLUGINS, 0), **row["errorTotal"]}
    lost = tuple(MetricSample(number, (("plugin", plugin),)) for plugin, number in sorted(errors.items()))
    yield Metric(
        "auditctl_events_total",
        "Audit events handed to the backends since the API server started.",
        "counter",
        (MetricSample(row["eventTotal"]),),
    )
    yield Metric("auditctl_events_lost_total", "Audit events that a backend has lost.", "counter", lost)
    yield Metric(
        "auditctl_requests_rejected_total",
        "Requests answered 500 because their event could not be recorded.",
        "counter",
        (MetricSample(row["requestsRejectedTotal"]),),
    )


def _log(log: Path, last_event: str | None, now: datetime) -> Iterator[Metric]:
    sizes: list[int] = []
    for path in log_files(log):
        with suppress(OSError):
            sizes.append(path.stat().st_size)
    yield _gauge("auditctl_log_bytes", "Size of the audit log with its rotated files.", sum(sizes))
    yield _gauge("auditctl_log_files", "Files of the audit log, the rotated ones included.", len(sizes))
    if last_event is not None:
        last = datetime_of(last_event)
        yield _gauge("auditctl_log_last_event_timestamp_seconds", "When the last event was written.", last.timestamp())
        age = max((now - last).total_seconds(), 0.0)
        yield _gauge("auditctl_log_last_event_age_seconds", "Age of the last event at the time of collection.", age)
    begin = _begin(log)
    kept = (now - begin).total_seconds() if begin is not None else None
    yield _gauge("auditctl_log_kept_seconds", "Age of the oldest event that is kept.", kept)
    with suppress(OSError):
        disk = os.statvfs(log.parent)
        text = "of the file system of the audit log."
        yield _gauge("auditctl_log_disk_free_bytes", f"Free space {text}", disk.f_bavail * disk.f_frsize)
        yield _gauge("auditctl_log_disk_size_bytes", f"Size {text}", disk.f_blocks * disk.f_frsize)


def _begin(log: Path) -> datetime | None:
    """Return the time of the oldest event: of the first rotated file's, or of the log itself."""
    rotated = rotated_files(log)
    try:
        opened = sources.open_sources([str(rotated[0].path if rotated else log)])
    except RefusedError:
        return rotated[0].at if rotated else None
    sources.close(opened)
    with suppress(ValueError):
        begin = datetime_of(opened[0].begins)
        return begin if begin.tzinfo is not None else begin.replace(tzinfo=UTC)
    return rotated[0].at if rotated else None


def _findings(report: Report) -> Metric:
    """Return one sample for each kind of finding, so that an alert can name it (``drift``, ``dead-log``)."""
    counts = Counter((each.check, each.severity.value) for each in report.findings)
    samples = tuple(
        MetricSample(number, (("check", check), ("severity", severity)))
        for (check, severity), number in sorted(counts.items())
    )
    return Metric("auditctl_findings", "What the status command complains of.", "gauge", samples)


def _gauge(name: str, text: str, value: float | None) -> Metric:
    return Metric(name, text, "gauge", () if value is None else (MetricSample(float(value)),))


def _metric_lines(metric: Metric) -> Iterator[str]:
    yield f"# HELP {metric.name} {metric.text}"
    yield f"# TYPE {metric.name} {metric.kind}"
    for sample in metric.samples:
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels)
        yield f"{metric.name}{f'{{{labels}}}' if labels else ''} {_number(sample.value)}"


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(round(value, 3))
