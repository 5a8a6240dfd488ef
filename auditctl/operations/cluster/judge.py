"""What the evidence of a cluster means: which server records, what differs between them, what is wrong. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from enum import Enum
from typing import NamedTuple

from auditctl.compatibility import datetime_of
from auditctl.errors import AuditctlError
from auditctl.kubeadm.clusterconfiguration import ClusterConfiguration
from auditctl.kubeadm.persist import SettingDifference, differences
from auditctl.manifest.document import Document
from auditctl.manifest.flag_values import same_value
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.client import Readiness
from auditctl.operations.cluster.collect import PROBES, ClusterEvidence, ServerEvidence
from auditctl.report import yaml_lines
from auditctl.settings import LOG_FLAG, POLICY_FLAG, WEBHOOK_FLAG

_MISSING = "not set"
_DIGEST = "the policy's SHA-256"
_LAG_SECONDS = 5.0  # a container is said to have started within a second of its process
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


def recording(one: ServerEvidence) -> RecordingVerdict:
    """Return whether a server records, by its own counters around our request."""
    before, after = one.before, one.after
    if not one.audit_id:
        return RecordingVerdict(RecordingState.UNKNOWN, f"it does not answer at {one.server.address}")
    if before is None or after is None:
        return RecordingVerdict(RecordingState.UNKNOWN, f"its counters are not known: {one.counters_reason}")
    if not after.auditing:
        if not is_enabled(one):
            return RecordingVerdict(RecordingState.OFF, "no policy and no backend are set")
        return RecordingVerdict(RecordingState.NOT_RECORDING, "the process evaluates no policy")
    lost = sum(after.errors.values()) - sum(before.errors.values())
    grown = after.events - before.events
    if lost > 0:
        names = ", ".join(name for name, number in after.errors.items() if number > before.errors.get(name, 0))
        return RecordingVerdict(RecordingState.NOT_RECORDING, f"{_events(lost)} lost during our requests ({names})")
    if grown < 0:
        return RecordingVerdict(RecordingState.UNKNOWN, "it was restarted during our requests")
    if grown > 0:
        return RecordingVerdict(RecordingState.RECORDING, f"{_events(grown)} during our requests, none lost")
    if after.events == 0:
        return RecordingVerdict(RecordingState.NOT_RECORDING, "it has written no event since it started")
    if sum(after.levels.values()) > sum(before.levels.values()):
        text = f"{_events(after.events)} since it started; our request is not audited by its policy"
        return RecordingVerdict(RecordingState.RECORDING, text)
    return RecordingVerdict(RecordingState.UNKNOWN, "its counters did not change during our requests")


def is_enabled(one: ServerEvidence) -> bool:
    """Return whether a policy and a backend are set: for the process where its flags are known, else in the manifest."""
    flags = one.running_flags if one.running_flags is not None else one.server.audit_flags
    return bool(flags.get(POLICY_FLAG)) and bool(flags.get(LOG_FLAG) or flags.get(WEBHOOK_FLAG))


def is_by_api_alone(one: ServerEvidence) -> bool:
    """Return whether a server cannot be reached from here, though its kubelet and its endpoint say that it is ready."""
    is_said = bool(one.server.is_ready) and one.is_endpoint is not False
    return one.health.readiness is Readiness.UNREACHABLE and is_said


def lags(one: ServerEvidence) -> bool:
    """Return whether the API shows an earlier Pod: its container started before the process that answers.

    The kubelet replaces a mirror Pod and reports its state some seconds after the change (``pkg/kubelet/kubelet.go``,
    SyncPod; the status manager sends every 10 s).
    """
    with suppress(ValueError):
        if one.process_started is not None and one.server.started:
            return one.process_started - datetime_of(one.server.started).timestamp() > _LAG_SECONDS
    return False


def digest_of(one: ServerEvidence) -> str:
    """Return the SHA-256 of the policy that the manifest names; empty where it is not known."""
    return "" if lags(one) else one.server.policy_sha256


def flags_known(one: ServerEvidence) -> bool:
    """Return whether the flags are those of now: of the process itself, or of a Pod that is not an earlier one."""
    return one.running_flags is not None or not lags(one)


def flags_equal(cluster: ClusterEvidence) -> bool | None:
    """Return whether all servers have the same audit flags; None where those of a server are not known."""
    if flag_differences(cluster):
        return False
    return True if all(map(flags_known, cluster.servers)) else None


def flag_differences(cluster: ClusterEvidence) -> tuple[ClusterDifference, ...]:
    """Return each audit flag that has not the same value on all servers that audit, and whether some do not at all.

    The process's own value counts where it is known: the mirror Pod shows a change some seconds later.
    """
    servers = [one for one in cluster.servers if flags_known(one)]
    names = sorted({name for one in servers for name in one.server.audit_flags})
    auditing = [one for one in servers if is_enabled(one) or (one.running_flags is None and one.server.audit_flags)]
    rows = (
        ClusterDifference(f"--{name}", {one.server.node: _flag_value(one, name) for one in auditing}) for name in names
    )
    partly = 0 < len(auditing) < len(servers)
    states = {one.server.node: "on" if one in auditing else "off" for one in servers}
    switch = (ClusterDifference("auditing", states),) if partly else ()
    return (*switch, *(row for row in rows if not _all_same(row)))


def _flag_value(one: ServerEvidence, name: str) -> str:
    running = one.running_flags or {}
    return running.get(name) or one.server.audit_flags.get(name) or _MISSING


def _all_same(row: ClusterDifference) -> bool:
    name, (first, *others) = row.setting.lstrip("-"), list(row.values.values())
    return all(same_value(name, first, other) for other in others)


def policy_difference(cluster: ClusterEvidence) -> ClusterDifference | None:
    """Return the digests of the policies where two that are known differ."""
    known = {one.server.node: digest for one in cluster.servers if (digest := digest_of(one))}
    return ClusterDifference(_DIGEST, known) if len(set(known.values())) > 1 else None


def level_difference(cluster: ClusterEvidence) -> ClusterDifference | None:
    """Return the levels of the first of our requests that two servers certainly audit at different ones."""
    for path in PROBES:
        levels = {one.server.node: one.levels[path] for one in cluster.servers if one.levels.get(path)}
        if any(not first & other for first in levels.values() for other in levels.values()):
            texts = {node: " or ".join(sorted(names)) for node, names in levels.items()}
            return ClusterDifference(f"the level of GET {path.partition('?')[0]}", texts)
    return None


def policies_equal(cluster: ClusterEvidence) -> bool | None:
    """Return whether all policies are the same; None where a digest is not known."""
    if policy_difference(cluster) is not None or level_difference(cluster) is not None:
        return False
    enabled = [one for one in cluster.servers if is_enabled(one)]
    return True if len(enabled) < 2 or all(map(digest_of, enabled)) else None


def drifts(one: ServerEvidence) -> tuple[ClusterDifference, ...]:
    """Return each audit flag that the process runs with another value than its manifest has."""
    running = one.running_flags
    if running is None or lags(one):
        return ()
    shown = one.server.audit_flags
    names = sorted({*shown, *(name for name in _SWITCHES if running.get(name))})
    rows = (
        ClusterDifference(f"--{name}", {"the manifest": shown.get(name, _MISSING), "the process": running[name]})
        for name in names
        if name in running and not same_value(name, shown.get(name, _MISSING), running[name])
    )
    return tuple(rows)


def record_differences(
    one: ServerEvidence, record: ClusterConfiguration | None
) -> tuple[SettingDifference, ...] | None:
    """Return what ``kubeadm upgrade`` would change of this server's auditing; None where that is not known."""
    if record is None:
        return None
    try:
        text = "\n".join(yaml_lines(one.server.object))
        manifest = Manifest.of(Document.of_text(text, one.server.pod))
        return tuple(differences(record, manifest))
    except AuditctlError:
        return None


def _events(number: int) -> str:
    return f"{number} event{'' if number == 1 else 's'}"
