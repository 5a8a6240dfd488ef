"""``status --server``: every API server of a cluster, from any machine with a kubeconfig; nothing is changed."""

from __future__ import annotations

import os
from pathlib import Path

from auditctl.cluster.client_choice import ADMIN_KUBECONFIG, connection_to, kubeconfig_of
from auditctl.operations.answer import CommandResult
from auditctl.operations.cluster import cluster_findings, rows
from auditctl.operations.cluster.collect import ClusterEvidence, collect_cluster
from auditctl.operations.cluster.metrics import cluster_metrics
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.status_metrics import exposition
from auditctl.report import ManifestChange, Outcome, Report

_COMMAND = "status"


def cluster_status(plane: ControlPlane, context: str = "") -> Report:
    """Return the state of every API server of the cluster that the kubeconfig leads to.

    Raises:
        RefusedError: the kubeconfig cannot be used, or the API servers cannot be listed.
        UsageError: there is no such context.
    """
    return report_of(_evidence(plane, context), plane)


def cluster_status_metrics(plane: ControlPlane, context: str = "") -> CommandResult:
    """Return the same as metrics; the exit code is 0 where they could be collected, for the values tell the state."""
    cluster = _evidence(plane, context)
    report = report_of(cluster, plane)
    text = exposition(cluster_metrics(cluster, report.findings, plane.clock.utc()))
    return CommandResult(document=report.to_dict(), summary=text.rstrip("\n"))


def report_of(cluster: ClusterEvidence, plane: ControlPlane) -> Report:
    """Return what the evidence says, as a report; its exit code is 0 only where all is well."""
    findings = tuple(cluster_findings.findings(cluster))
    bad = cluster_findings.errors_of(findings)
    return Report(
        command=_COMMAND,
        outcome=Outcome.NEGATIVE if bad else Outcome.UNCHANGED,
        summary=rows.headline(cluster, bad),
        manifest=ManifestChange(path=""),
        findings=findings,
        lines=tuple(rows.lines(cluster, plane.clock.utc())),
        next_steps=tuple(finding.fix for finding in bad[:1] if finding.fix),
        details={"cluster": rows.details(cluster)},
        lines_first=True,
    )


def _evidence(plane: ControlPlane, context: str) -> ClusterEvidence:
    given = plane.kubeconfig
    if given is None and not plane.root.is_host:  # the cluster of that node, not of whoever asks
        given = plane.root.followed(ADMIN_KUBECONFIG)
    chosen = kubeconfig_of(given, context, Path.home(), os.environ)
    return collect_cluster(connection_to(chosen), plane.clock)
