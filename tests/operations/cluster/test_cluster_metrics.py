"""The metrics of a cluster: a sample for each node, none for what is not known."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from auditctl.cluster.servers import mirror_servers
from auditctl.compatibility import UTC
from auditctl.node.apiserver.client import Health, Readiness
from auditctl.operations.cluster.collect import ClusterEvidence, ServerEvidence
from auditctl.operations.cluster.metrics import cluster_metrics

SERVERS = mirror_servers(json.loads((Path(__file__).parents[2] / "golden/cluster/pods.json").read_text()))


def test_what_is_not_known_has_no_sample() -> None:
    """A server that cannot be reached may be ready; without digests nobody knows whether the policies are equal."""
    silent = ServerEvidence(server=SERVERS[0], is_endpoint=True, health=Health(Readiness.UNREACHABLE))
    ready = replace(silent, server=SERVERS[1], health=Health(Readiness.READY), has_storage=True)
    cluster = ClusterEvidence(server="https://lb:6443", context="", servers=(silent, ready))

    metrics = {one.name: one.samples for one in cluster_metrics(cluster, (), datetime(2026, 12, 1, tzinfo=UTC))}

    assert [(each.value, each.labels) for each in metrics["auditctl_cluster_apiserver_ready"]] == [
        (1.0, (("node", "cp2"),))
    ]
    assert metrics["auditctl_cluster_policies_equal"] == ()
    assert [each.value for each in metrics["auditctl_cluster_audit_flags_equal"]] == [1.0]
    assert metrics["auditctl_cluster_events_total"] == ()
