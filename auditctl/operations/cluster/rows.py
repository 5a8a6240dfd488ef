"""The words of ``status --server``: a table with one row a server, the headline, the JSON object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from auditctl.compatibility import datetime_of
from auditctl.durations import age
from auditctl.findings import Finding
from auditctl.node.apiserver.client import Readiness
from auditctl.operations.answer import table
from auditctl.operations.cluster.collect import ClusterEvidence, ServerEvidence
from auditctl.operations.cluster.judge import (
    ClusterDifference,
    RecordingState,
    digest_of,
    drifts,
    flag_differences,
    flags_equal,
    flags_known,
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

_HEADINGS = ("NODE", "READY", "RECORDING", "FLAGS", "POLICY", "EVENTS", "LOST", "KEPT", "VERSION", "UP")
_DIGEST_CHARACTERS = 12
_RECORDING = {
    RecordingState.RECORDING: "yes",
    RecordingState.NOT_RECORDING: "NO",
    RecordingState.OFF: "off",
    RecordingState.UNKNOWN: "?",
}
_FLAGS = {
    True: "their audit flags are equal",
    False: "their audit flags differ",
    None: "whether their audit flags are equal is not known",
}
_POLICIES = {
    True: "their policies are equal",
    False: "their policies differ",
    None: "whether their policies are equal is not known",
}


def lines(cluster: ClusterEvidence, now: datetime) -> Iterator[str]:
    """Yield the table. KEPT: would ``kubeadm upgrade`` keep the settings? "?" is not known, "API: yes" is hearsay."""
    differing = {node for one in flag_differences(cluster) for node in one.others()}
    policy = policy_difference(cluster) or level_difference(cluster)
    strangers = policy.others() if policy is not None else frozenset()
    yield from table([_HEADINGS, *(_cells(one, cluster, differing, strangers, now) for one in cluster.servers)])


def _cells(
    one: ServerEvidence, cluster: ClusterEvidence, differing: set[str], strangers: frozenset[str], now: datetime
) -> tuple[str, ...]:
    node, digest = one.server.node, digest_of(one)[:_DIGEST_CHARACTERS]
    count = str(one.after.events) if one.after is not None else "?"
    up = "?"
    with suppress(ValueError):
        up = age((now - datetime_of(one.server.started)).total_seconds())
    return (
        node,
        _ready_cell(one),
        _RECORDING[recording(one).state],
        "DIFFER" if node in differing or drifts(one) else "equal" if flags_known(one) else "?",
        f"{digest} DIFFERS".lstrip() if node in strangers else digest or ("?" if is_enabled(one) else "-"),
        count,
        "?" if one.after is None else str(sum(one.after.errors.values())),
        _answer(value=_is_kept(one, cluster)),
        one.server.version,
        up,
    )


def _ready_cell(one: ServerEvidence) -> str:
    ready = is_ready(one)
    if is_by_api_alone(one):
        return "API: yes"
    return "no etcd" if one.has_storage is False else _answer(value=ready)


def is_ready(one: ServerEvidence) -> bool | None:
    """Return whether a server answers and reads its storage; None where it cannot be reached but its kubelet says so."""
    match one.health.readiness:
        case Readiness.READY:
            return one.has_storage is not False
        case Readiness.UNREACHABLE:
            return None if is_by_api_alone(one) else False
        case Readiness.NOT_READY:
            return False
    return None


def _is_kept(one: ServerEvidence, cluster: ClusterEvidence) -> bool | None:
    changed = record_differences(one, cluster.record)
    return None if changed is None else not changed


def _answer(*, value: bool | None) -> str:
    return "?" if value is None else "yes" if value else "NO"


def headline(cluster: ClusterEvidence, bad: Sequence[Finding]) -> str:
    """Return the one sentence: how many are ready and record, whether they are equal, how much is wrong."""
    number = len(cluster.servers) + len(cluster.lone_nodes)
    ready = sum(is_ready(one) is True for one in cluster.servers)
    states = [recording(one).state for one in cluster.servers]
    parts = [f"{ready} of {number} API servers {'is' if ready == 1 else 'are'} ready"]
    if silent := sum(map(is_by_api_alone, cluster.servers)):
        parts[0] += f" ({silent} more by what the API says; no connection from here)"
    if all(state is RecordingState.OFF for state in states):
        parts.append("auditing is off")
    else:
        unknown = sum(state is RecordingState.UNKNOWN for state in states)
        more = f" (not known of {unknown})" if unknown else ""
        parts.append(f"{sum(state is RecordingState.RECORDING for state in states)} of {number} record{more}")
    parts.append(_FLAGS[flags_equal(cluster)])
    if any(map(is_enabled, cluster.servers)):
        parts.append(_POLICIES[policies_equal(cluster)])
    more = f"; {len(bad)} finding{'' if len(bad) == 1 else 's'}" if bad else ""
    return f"{', '.join(parts)}{more}"


def details(cluster: ClusterEvidence) -> dict[str, Any]:
    """Return the object behind ``cluster`` of the report."""
    policy = policy_difference(cluster) or level_difference(cluster)
    flags = flag_differences(cluster)
    states = [is_ready(one) for one in cluster.servers]
    return {
        "server": cluster.server,
        "context": cluster.context or None,
        "apiServers": len(cluster.servers) + len(cluster.lone_nodes),
        "ready": sum(state is True for state in states),
        "flagsEqual": flags_equal(cluster),
        "policiesEqual": policies_equal(cluster),
        "differences": [_difference(one) for one in (*flags, *([policy] if policy is not None else []))],
        "nodesWithoutServer": list(cluster.lone_nodes),
        "servers": [_server(one, cluster) for one in cluster.servers],
    }


def _difference(one: ClusterDifference) -> dict[str, Any]:
    return {"setting": one.setting, "values": dict(one.values)}


def _server(one: ServerEvidence, cluster: ClusterEvidence) -> dict[str, Any]:
    verdict, server = recording(one), one.server
    changed = record_differences(one, cluster.record)
    running = one.running_flags
    return {
        "node": server.node,
        "address": str(server.address),
        "version": server.version or None,
        "startedAt": server.started or None,
        "restarts": server.restarts,
        "ready": is_ready(one),
        "readiness": one.health.readiness.value,
        "reason": one.health_reason or one.storage_reason or None,
        "readsStorage": one.has_storage,
        "inEndpoints": one.is_endpoint,
        "kubeletSaysReady": server.is_ready,
        "auditing": {"state": verdict.state.value, "reason": verdict.reason},
        "auditID": one.audit_id or None,
        "auditLevels": {path.partition("?")[0]: sorted(levels) for path, levels in one.levels.items()},
        "flags": server.audit_flags,
        "runningFlags": {name: running[name] for name in server.audit_flags if name in running} if running else None,
        "drift": [_difference(drift) for drift in drifts(one)],
        "policySha256": digest_of(one) or None,
        "apiShowsEarlierPod": lags(one),
        "metrics": counters.row(one.after),
        "keptAtUpgrade": None if changed is None else not changed,
        "changedAtUpgrade": None if changed is None else [difference.setting for difference in changed],
    }
