"""What is wrong with a cluster, or not known of it, as findings with the one next step. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from auditctl.findings import Finding, Severity
from auditctl.node.apiserver.client import Readiness
from auditctl.operations.cluster.collect import ClusterEvidence, ServerEvidence
from auditctl.operations.cluster.judge import (
    ClusterDifference,
    RecordingState,
    digest_of,
    drifts,
    flag_differences,
    is_by_api_alone,
    is_enabled,
    lags,
    level_difference,
    policies_equal,
    policy_difference,
    record_differences,
    recording,
)
from auditctl.operations.evidence import counters

_RIGHTS = "auditctl status --template rbac"


def findings(cluster: ClusterEvidence) -> Iterator[Finding]:
    """Yield all that is wrong or not known: servers that are down first, then what differs, then the rest."""
    for node in cluster.lone_nodes:
        text = f"{node} is a control plane, but the API shows no Pod of kube-apiserver on it"
        yield Finding.error("apiserver-ready", text, _doctor(node))
    yield from _unreachable(cluster)
    for one in cluster.servers:
        yield from _server_findings(one)
    for difference in flag_differences(cluster):
        text, fix = difference.sentence(), _same_everywhere(difference)
        yield Finding.error("flags-differ", text, fix)
    policy = policy_difference(cluster) or level_difference(cluster)
    if policy is not None:
        text = f"the policies differ: {policy.sentence()}"
        yield Finding.error("policies-differ", text, _same_everywhere(policy))
    for one in cluster.servers:
        yield from _recording_findings(one)
    yield from _kept_findings(cluster)
    yield from _unknown(cluster)


def _unknown(cluster: ClusterEvidence) -> Iterator[Finding]:
    """Yield what nothing here can tell, and who or what can."""
    if policies_equal(cluster) is None:
        nodes = [one.server.node for one in cluster.servers if is_enabled(one) and not digest_of(one)]
        text = (
            f"whether the policies are equal is not known: the API shows no digest of the policy of {', '.join(nodes)}"
        )
        alike = " (requests of ours are audited alike)" if any(one.levels for one in cluster.servers) else ""
        fix = "run auditctl's `verify --policy FILE` on each of them, or the playbook verify_audit"
        yield Finding.note("policies-unknown", f"{text}{alike}", fix)
    if cluster.nodes_reason:
        text = f"control planes without an API server would not be noticed: {cluster.nodes_reason}"
        yield Finding.note("nodes-unknown", text, _RIGHTS)
    if cluster.record is None and any(map(is_enabled, cluster.servers)):
        text = f"whether kubeadm upgrade keeps the settings is not known: {cluster.record_reason}"
        yield Finding.note("kubeadm-config", text, _RIGHTS)


def _unreachable(cluster: ClusterEvidence) -> Iterator[Finding]:
    """Yield one finding on the servers of which only the API itself, through another address, can tell."""
    silent = [one for one in cluster.servers if is_by_api_alone(one)]
    if not silent:
        return
    nodes = ", ".join(one.server.node for one in silent)
    text = (
        f"{nodes}: no connection from here ({silent[0].health_reason}). Their readiness, flags and policy are those that "
        f"{cluster.server} shows (kubelet, endpoints, mirror Pods); whether they record, how many events they lost and "
        "what their processes run with is not known"
    )
    fix = "run the command where the addresses of the control planes can be reached"
    yield Finding.warning("unreachable", text, fix)


def _server_findings(one: ServerEvidence) -> Iterator[Finding]:
    node, reason = one.server.node, one.health_reason
    if is_by_api_alone(one):
        return
    if one.health.readiness is not Readiness.READY:
        state = "is down" if one.health.readiness is Readiness.UNREACHABLE else "is not ready"
        state = "may be ready or not" if one.health.readiness is Readiness.UNKNOWN else state
        yield Finding.error("apiserver-ready", f"{node} {state}: {reason}", _doctor(node))
    elif one.has_storage is False:
        text = f"{node} answers /readyz, but does not read its storage: {one.storage_reason}"
        yield Finding.error("storage", text, f"look at etcd on {node}")
    elif one.is_endpoint is False:
        text = f"{node} is ready, but {one.server.address.host} is not among the endpoints of the Service kubernetes"
        yield Finding.warning("endpoints", text, f"look at etcd on {node}")
    if lags(one):
        text = f"{node} was restarted, and the API still shows its Pod of before: its policy{_and_flags(one)} is not known yet"
        yield Finding.warning("mirror-lag", text, "look again in a minute")
    for drift in drifts(one):
        manifest, process = drift.values.values()
        text = f"{node}: {drift.setting} is {manifest} in the manifest and {process} in the process"
        yield Finding.warning("drift", text, f"look again; if it stays so, {_doctor(node)}")


def _and_flags(one: ServerEvidence) -> str:
    return "" if one.running_flags is not None else " (and its flags)"


def _recording_findings(one: ServerEvidence) -> Iterator[Finding]:
    node, verdict = one.server.node, recording(one)
    if verdict.state is RecordingState.NOT_RECORDING:
        text = f"{node} does not record: {verdict.reason}"
        yield Finding.error("not-recording", text, _doctor(node))
    elif verdict.state is RecordingState.UNKNOWN and one.health.readiness is Readiness.READY and one.has_storage:
        text = f"whether {node} records is not known: {verdict.reason}"
        yield Finding.warning("recording-unknown", text, _RIGHTS)
    elif one.after is not None:
        for finding in counters.findings(one.after, enabled=False):
            yield replace(finding, message=f"{node}: {finding.message}", fix=_doctor(node))


def _kept_findings(cluster: ClusterEvidence) -> Iterator[Finding]:
    """Yield what an upgrade would change, once for the nodes of which it is the same."""
    nodes: dict[tuple[str, ...], list[str]] = {}
    for one in cluster.servers:
        changed = record_differences(one, cluster.record)
        if changed:
            nodes.setdefault(tuple(difference.setting for difference in changed), []).append(one.server.node)
    for settings, names in nodes.items():
        text = f"kubeadm upgrade would change the audit settings of {', '.join(names)}: {', '.join(settings)}"
        yield Finding.warning("kubeadm-config", text, f"run auditctl's `kubeadm persist` on {names[0]}")


def _same_everywhere(difference: ClusterDifference) -> str:
    return f"run auditctl's `enable` with the same options on {', '.join(sorted(difference.others()))}"


def _doctor(node: str) -> str:
    return f"run auditctl's `doctor` on {node}"


def errors_of(complaints: Sequence[Finding]) -> list[Finding]:
    """Return those that make the answer a no."""
    return [one for one in complaints if one.severity is not Severity.INFO]
