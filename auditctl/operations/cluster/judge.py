"""What the evidence of a cluster means: which server records, what differs between them, what is wrong. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import NamedTuple

from auditctl.errors import AuditctlError
from auditctl.findings import Finding, Severity
from auditctl.kubeadm.clusterconfiguration import ClusterConfiguration
from auditctl.kubeadm.persist import SettingDifference, differences
from auditctl.manifest.document import Document
from auditctl.manifest.flag_values import same_value
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.client import Readiness
from auditctl.operations.cluster.collect import PROBES, ClusterEvidence, ServerEvidence
from auditctl.operations.evidence import counters
from auditctl.report import yaml_lines
from auditctl.settings import LOG_FLAG, POLICY_FLAG, WEBHOOK_FLAG

_MISSING = "not set"
_DIGEST = "the policy's SHA-256"
_SWITCHES = (POLICY_FLAG, LOG_FLAG, WEBHOOK_FLAG)  # empty unless somebody sets them


class RecordingState(Enum):
    """Whether a server records."""

    RECORDING = "recording"
    NOT_RECORDING = "not recording"
    OFF = "off"
    UNKNOWN = "unknown"


class RecordingVerdict(NamedTuple):
    """The state, and what it was concluded from."""

    state: RecordingState
    reason: str


class ClusterDifference(NamedTuple):
    """A setting that the servers do not share: its value by node."""

    setting: str
    values: Mapping[str, str]

    def sentence(self) -> str:
        """Return the nodes of each value, the most frequent value first."""
        groups: dict[str, list[str]] = {}
        for node, value in self.values.items():
            groups.setdefault(value, []).append(node)
        ordered = sorted(groups.items(), key=lambda pair: -len(pair[1]))
        return f"{self.setting} is {'; '.join(' on '.join((value, ', '.join(nodes))) for value, nodes in ordered)}"

    def others(self) -> frozenset[str]:
        """Return the nodes that are not of the largest group; all of them where no group is the largest."""
        counts = [sum(other == value for other in self.values.values()) for value in self.values.values()]
        most = max(counts)
        leading = {value for value, count in zip(self.values.values(), counts, strict=True) if count == most}
        return frozenset(node for node, value in self.values.items() if len(leading) > 1 or value not in leading)


def recording(found: ServerEvidence) -> RecordingVerdict:
    """Return whether a server records, by its own counters around our request."""
    before, after = found.before, found.after
    if not found.audit_id:
        return RecordingVerdict(RecordingState.UNKNOWN, f"it does not answer at {found.server.address}")
    if before is None or after is None:
        return RecordingVerdict(RecordingState.UNKNOWN, f"its counters are not known: {found.counters_reason}")
    if not after.auditing:
        if not is_enabled(found):
            return RecordingVerdict(RecordingState.OFF, "no policy and no backend are set")
        return RecordingVerdict(RecordingState.NOT_RECORDING, "the process evaluates no policy")
    lost = sum(after.errors.values()) - sum(before.errors.values())
    grown = after.events - before.events
    if lost > 0:
        names = ", ".join(name for name, number in after.errors.items() if number > before.errors.get(name, 0))
        return RecordingVerdict(RecordingState.NOT_RECORDING, f"{_events(lost)} lost during our request ({names})")
    if grown < 0:
        return RecordingVerdict(RecordingState.UNKNOWN, "it was restarted during our request")
    if grown > 0:
        return RecordingVerdict(RecordingState.RECORDING, f"{_events(grown)} during our request, none lost")
    if after.events == 0:
        return RecordingVerdict(RecordingState.NOT_RECORDING, "it has written no event since it started")
    if sum(after.levels.values()) > sum(before.levels.values()):
        text = f"{_events(after.events)} since it started; our request is not audited by its policy"
        return RecordingVerdict(RecordingState.RECORDING, text)
    return RecordingVerdict(RecordingState.UNKNOWN, "its counters did not change during our request")


def is_enabled(found: ServerEvidence) -> bool:
    """Return whether a policy and a backend are set: for the process where its flags are known, else in the manifest."""
    flags = found.running_flags if found.running_flags is not None else found.server.audit_flags
    return bool(flags.get(POLICY_FLAG)) and bool(flags.get(LOG_FLAG) or flags.get(WEBHOOK_FLAG))


def flag_differences(found: ClusterEvidence) -> tuple[ClusterDifference, ...]:
    """Return each audit flag that has not the same value on all servers that audit, and whether some do not at all.

    The process's own value counts where it is known: the mirror Pod shows a change some seconds later.
    """
    names = sorted({name for one in found.servers for name in one.server.audit_flags})
    auditing = [
        one for one in found.servers if is_enabled(one) or (one.running_flags is None and one.server.audit_flags)
    ]
    rows = (
        ClusterDifference(f"--{name}", {one.server.node: _flag_value(one, name) for one in auditing}) for name in names
    )
    partly = 0 < len(auditing) < len(found.servers)
    states = {one.server.node: "on" if one in auditing else "off" for one in found.servers}
    switch = (ClusterDifference("auditing", states),) if partly else ()
    return (*switch, *(row for row in rows if not _all_same(row)))


def _flag_value(one: ServerEvidence, name: str) -> str:
    running = one.running_flags or {}
    return running.get(name) or one.server.audit_flags.get(name) or _MISSING


def _all_same(row: ClusterDifference) -> bool:
    name, (first, *others) = row.setting.lstrip("-"), list(row.values.values())
    return all(same_value(name, first, other) for other in others)


def policy_difference(found: ClusterEvidence) -> ClusterDifference | None:
    """Return the digests of the policies where two that are known differ."""
    known = {one.server.node: one.server.policy_sha256 for one in found.servers if one.server.policy_sha256}
    return ClusterDifference(_DIGEST, known) if len(set(known.values())) > 1 else None


def level_difference(found: ClusterEvidence) -> ClusterDifference | None:
    """Return the levels of the first of our requests that two servers certainly audit at different ones."""
    for path in PROBES:
        levels = {one.server.node: one.levels[path] for one in found.servers if one.levels.get(path)}
        if any(not first & other for first in levels.values() for other in levels.values()):
            texts = {node: " or ".join(sorted(names)) for node, names in levels.items()}
            return ClusterDifference(f"the level of GET {path.partition('?')[0]}", texts)
    return None


def policies_equal(found: ClusterEvidence) -> bool | None:
    """Return whether all policies are the same; None where a digest is not known."""
    if policy_difference(found) is not None or level_difference(found) is not None:
        return False
    enabled = [one for one in found.servers if is_enabled(one)]
    return True if len(enabled) < 2 or all(one.server.policy_sha256 for one in enabled) else None


def drifts(found: ServerEvidence) -> tuple[ClusterDifference, ...]:
    """Return each audit flag that the process runs with another value than its manifest has."""
    running = found.running_flags
    if running is None:
        return ()
    shown = found.server.audit_flags
    names = sorted({*shown, *(name for name in _SWITCHES if running.get(name))})
    rows = (
        ClusterDifference(f"--{name}", {"the manifest": shown.get(name, _MISSING), "the process": running[name]})
        for name in names
        if name in running and not same_value(name, shown.get(name, _MISSING), running[name])
    )
    return tuple(rows)


def record_differences(
    found: ServerEvidence, record: ClusterConfiguration | None
) -> tuple[SettingDifference, ...] | None:
    """Return what ``kubeadm upgrade`` would change of this server's auditing; None where that is not known."""
    if record is None:
        return None
    try:
        text = "\n".join(yaml_lines(found.server.object))
        manifest = Manifest.of(Document.of_text(text, found.server.pod))
        return tuple(differences(record, manifest))
    except AuditctlError:
        return None


def findings(found: ClusterEvidence) -> Iterator[Finding]:
    """Yield all that is wrong or not known: servers that are down first, then what differs, then the rest."""
    for node in found.lone_nodes:
        text = f"{node} is a control plane, but the API shows no Pod of kube-apiserver on it"
        yield Finding(check="apiserver-ready", severity=Severity.ERROR, message=text, fix=_doctor(node))
    for one in found.servers:
        yield from _server_findings(one)
    for difference in flag_differences(found):
        text, fix = difference.sentence(), _same_everywhere(difference)
        yield Finding(check="flags-differ", severity=Severity.ERROR, message=text, fix=fix)
    policy = policy_difference(found) or level_difference(found)
    if policy is not None:
        text = f"the policies differ: {policy.sentence()}"
        yield Finding(check="policies-differ", severity=Severity.ERROR, message=text, fix=_same_everywhere(policy))
    for one in found.servers:
        yield from _recording_findings(one)
    yield from _kept_findings(found)
    if policies_equal(found) is None:
        nodes = [one.server.node for one in found.servers if is_enabled(one) and not one.server.policy_sha256]
        text = (
            f"whether the policies are equal is not known: the manifest of {', '.join(nodes)} has no digest of its policy "
            "(requests of ours are audited alike)"
        )
        fix = "run auditctl's `verify --policy FILE` on each of them, or the playbook verify_audit"
        yield Finding(check="policies-unknown", severity=Severity.INFO, message=text, fix=fix)
    if found.nodes_reason:
        text = f"control planes without an API server would not be noticed: {found.nodes_reason}"
        yield Finding(
            check="nodes-unknown", severity=Severity.INFO, message=text, fix="auditctl status --template rbac"
        )
    if found.record is None and any(map(is_enabled, found.servers)):
        text = f"whether kubeadm upgrade keeps the settings is not known: {found.record_reason}"
        yield Finding(
            check="kubeadm-config", severity=Severity.INFO, message=text, fix="auditctl status --template rbac"
        )


def _server_findings(one: ServerEvidence) -> Iterator[Finding]:
    node, reason = one.server.node, one.health_reason
    if one.health.readiness is Readiness.UNREACHABLE and one.server.is_ready and one.is_endpoint is not False:
        text = f"{node} cannot be reached from here, though its kubelet says that it is ready: {reason}"
        yield Finding(
            check="unreachable",
            severity=Severity.WARNING,
            message=text,
            fix="run the command where the control planes can be reached",
        )
    elif one.health.readiness is not Readiness.READY:
        state = "is down" if one.health.readiness is Readiness.UNREACHABLE else "is not ready"
        state = "may be ready or not" if one.health.readiness is Readiness.UNKNOWN else state
        yield Finding(
            check="apiserver-ready", severity=Severity.ERROR, message=f"{node} {state}: {reason}", fix=_doctor(node)
        )
    elif one.has_storage is False:
        text = f"{node} answers /readyz, but does not read its storage: {one.storage_reason}"
        yield Finding(check="storage", severity=Severity.ERROR, message=text, fix=f"look at etcd on {node}")
    elif one.is_endpoint is False:
        text = f"{node} is ready, but {one.server.address.host} is not among the endpoints of the Service kubernetes"
        yield Finding(check="endpoints", severity=Severity.WARNING, message=text, fix=f"look at etcd on {node}")
    for drift in drifts(one):
        manifest, process = drift.values.values()
        text = (
            f"{node}: {drift.setting} is {manifest} in the manifest and {process} in the process (the API shows a new "
            "manifest only some seconds after the change)"
        )
        yield Finding(
            check="drift", severity=Severity.WARNING, message=text, fix=f"look again; if it stays so, {_doctor(node)}"
        )


def _recording_findings(one: ServerEvidence) -> Iterator[Finding]:
    node, verdict = one.server.node, recording(one)
    if verdict.state is RecordingState.NOT_RECORDING:
        text = f"{node} does not record: {verdict.reason}"
        yield Finding(check="not-recording", severity=Severity.ERROR, message=text, fix=_doctor(node))
    elif verdict.state is RecordingState.UNKNOWN and one.health.readiness is Readiness.READY and one.has_storage:
        text = f"whether {node} records is not known: {verdict.reason}"
        yield Finding(
            check="recording-unknown", severity=Severity.WARNING, message=text, fix="auditctl status --template rbac"
        )
    elif one.after is not None:
        for finding in counters.findings(one.after, enabled=False):
            yield replace(finding, message=f"{node}: {finding.message}", fix=_doctor(node))


def _kept_findings(found: ClusterEvidence) -> Iterator[Finding]:
    """Yield what an upgrade would change, once for the nodes of which it is the same."""
    nodes: dict[tuple[str, ...], list[str]] = {}
    for one in found.servers:
        changed = record_differences(one, found.record)
        if changed:
            nodes.setdefault(tuple(difference.setting for difference in changed), []).append(one.server.node)
    for settings, names in nodes.items():
        text = f"kubeadm upgrade would change the audit settings of {', '.join(names)}: {', '.join(settings)}"
        yield Finding(
            check="kubeadm-config",
            severity=Severity.WARNING,
            message=text,
            fix=f"run auditctl's `kubeadm persist` on {names[0]}",
        )


def _same_everywhere(difference: ClusterDifference) -> str:
    return f"run auditctl's `enable` with the same options on {', '.join(sorted(difference.others()))}"


def _doctor(node: str) -> str:
    return f"run auditctl's `doctor` on {node}"


def _events(number: int) -> str:
    return f"{number} event{'' if number == 1 else 's'}"


def errors_of(complaints: Sequence[Finding]) -> list[Finding]:
    """Return those that make the answer a no."""
    return [one for one in complaints if one.severity is not Severity.INFO]
