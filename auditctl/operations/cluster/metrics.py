"""``status --server -o prometheus``: the state of each API server of a cluster, by node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from auditctl.findings import Finding
from auditctl.operations.cluster.collect import ClusterEvidence, ServerEvidence
from auditctl.operations.cluster.judge import (
    RecordingState,
    flags_equal,
    is_enabled,
    policies_equal,
    record_differences,
    recording,
)
from auditctl.operations.cluster.rows import is_ready
from auditctl.operations.status_metrics import PLUGINS, Metric, MetricSample

_RECORDING = {RecordingState.RECORDING: True, RecordingState.NOT_RECORDING: False, RecordingState.OFF: False}


def cluster_metrics(cluster: ClusterEvidence, findings: Iterable[Finding], now: datetime) -> Iterator[Metric]:
    """Yield the metrics; what is not known has no sample."""
    yield _by_node("apiserver_ready", "The API server answers and reads its storage.", cluster, is_ready)
    yield _by_node("auditing_enabled", "The manifest sets a policy and a log or webhook.", cluster, is_enabled)
    yield _by_node(
        "auditing_recording",
        "Requests are recorded; no sample if unknown.",
        cluster,
        lambda one: _RECORDING.get(recording(one).state),
    )
    yield _by_node(
        "kubeadm_config_kept",
        "kubeadm-config has the audit settings, so that an upgrade keeps them.",
        cluster,
        lambda one: None if (changed := record_differences(one, cluster.record)) is None else not changed,
    )
    yield _one(
        "audit_flags_equal", "All servers have the same audit flags; no sample if unknown.", flags_equal(cluster)
    )
    yield _one("policies_equal", "All policies have the same digest; no sample if unknown.", policies_equal(cluster))
    counted = [(one.server.node, one.after) for one in cluster.servers if one.after is not None]
    events = tuple(MetricSample(each.events, (("node", node),)) for node, each in counted)
    text = "Audit events handed to the backends since the API server started."
    yield Metric("auditctl_cluster_events_total", text, "counter", events)
    lost = tuple(
        MetricSample(each.errors.get(plugin, 0), (("node", node), ("plugin", plugin)))
        for node, each in counted
        for plugin in sorted({*PLUGINS, *each.errors})
    )
    yield Metric("auditctl_cluster_events_lost_total", "Audit events that a backend has lost.", "counter", lost)
    counts = Counter((each.check, each.severity.value) for each in findings)
    samples = tuple(
        MetricSample(number, (("check", check), ("severity", severity)))
        for (check, severity), number in sorted(counts.items())
    )
    yield Metric("auditctl_cluster_findings", "What the status command complains of.", "gauge", samples)
    yield _one("status_timestamp_seconds", "When these metrics were collected.", now.timestamp())


def _by_node(name: str, text: str, cluster: ClusterEvidence, value: Callable[[ServerEvidence], bool | None]) -> Metric:
    pairs = [(one.server.node, value(one)) for one in cluster.servers]
    samples = tuple(MetricSample(float(known), (("node", node),)) for node, known in pairs if known is not None)
    return Metric(f"auditctl_cluster_{name}", text, "gauge", samples)


def _one(name: str, text: str, value: float | None) -> Metric:
    return Metric(f"auditctl_cluster_{name}", text, "gauge", () if value is None else (MetricSample(float(value)),))
