"""The words of `status`: a headline from the evidence, one row a part with the command that changes it, the JSON object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from auditctl.durations import age
from auditctl.errors import RefusedError
from auditctl.findings import Finding
from auditctl.log.forecast import Load, RotationFlags, kept
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.metrics import Counters
from auditctl.node.apiserver.process import Process
from auditctl.node.change import files
from auditctl.node.change.journal import Journal
from auditctl.node.kubelet.diagnosis import ServerState
from auditctl.node.preflight import node_checks, webhook_config
from auditctl.operations import flags, policy_source
from auditctl.operations.answer import amount
from auditctl.operations.change.watchdog_notice import outage_of
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence import auditing, counters
from auditctl.operations.evidence.auditing import AuditingState
from auditctl.operations.installed_policy import shipped_name
from auditctl.operations.status_evidence import StatusEvidence
from auditctl.policy.load import load
from auditctl.settings import LOG_FLAG, MAXAGE_FLAG, MAXBACKUP_FLAG, MAXSIZE_FLAG, STANDARD_OUTPUT, WEBHOOK_FLAG

_LEAST_SPAN_SECONDS = 3600.0  # a rate from less than an hour of events says nothing about a day
_DOWN = (
    *(ServerState.CRASH_LOOPING, ServerState.NEVER_STARTED, ServerState.NO_MANIFEST, ServerState.NO_KUBELET),
    ServerState.UNKNOWN,
)


def headline(evidence: StatusEvidence, bad: Sequence[Finding]) -> str:
    """Return the one sentence: what is known of the API server and of auditing, then how much is wrong."""
    judged, state = evidence.node.diagnosis, evidence.auditing.state
    more = f"; {len(bad)} finding{'' if len(bad) == 1 else 's'}: {_first(bad)}" if bad else ""
    has_server = evidence.node.evidence.process is not None or judged.state is ServerState.UNSEEN
    if evidence.manifest is None and has_server:
        return f"Whether requests are recorded is not known: {_first(bad) or judged.message}"
    if judged.state not in (ServerState.SERVING, ServerState.UNSEEN):
        texts = {AuditingState.OFF: "auditing is off", AuditingState.UNKNOWN: "auditing is unknown"}
        is_known_off = has_server or state is AuditingState.OFF
        text = texts.get(state, "nothing is recorded") if is_known_off else "nothing is recorded"
        return f"The API server is {_server_words(judged.state)}; {text}: {_first(bad) or judged.message}"
    if state is AuditingState.RECORDING:
        return f"Auditing is on and recording{more}"
    if state is AuditingState.NOT_RECORDING:
        return f"Auditing is on but NOT recording: {evidence.auditing.reason}"
    if state is AuditingState.OFF:
        known = (
            "" if judged.state is ServerState.SERVING else " in the manifest; the state of the API server is not known"
        )
        return f"Auditing is off{known}{more}"
    return f"Auditing is on in the manifest; whether requests are recorded is not known: {evidence.auditing.reason}"


def _first(bad: Sequence[Finding]) -> str:
    """Return the first complaint with its place, as the report would print it."""
    if not bad:
        return ""
    place = ":".join(str(part) for part in (bad[0].file, bad[0].line, bad[0].column) if part)
    return f"{f'{place}: ' if bad[0].file else ''}{bad[0].message}"


def _server_words(state: ServerState) -> str:
    """Return the state as it follows ``The API server is``."""
    if state is ServerState.NOT_READY:
        return "not ready"
    if state in _DOWN:
        return f"down ({state.value})"
    return str(state.value)


def lines(plane: ControlPlane, evidence: StatusEvidence, before: tuple[Counters, float] | None) -> Iterator[str]:
    """Yield one row a part, each with the command that changes it, then the flags and the counters."""
    yield _row("API server", _server(plane, evidence), "auditctl doctor" if not evidence.node.is_ready else "")
    manifest = evidence.manifest
    if manifest is None:
        yield _row("Auditing", f"unknown: {evidence.auditing.reason}", "auditctl doctor")
        return
    is_off = evidence.auditing.state is AuditingState.OFF
    reason = f" ({evidence.auditing.reason})" if evidence.auditing.state is not AuditingState.OFF else ""
    yield _row(
        "Auditing", f"{evidence.auditing.state.value}{reason}", "auditctl enable" if is_off else "auditctl disable"
    )
    if manifest.audit_flags:
        yield _row("Policy", _policy(plane, evidence), "auditctl enable --policy FILE")
        yield _row("Log", _log(plane, evidence, manifest), "auditctl enable --log-path PATH")
        yield _row("Webhook", _webhook(plane, manifest), "auditctl enable --webhook-config FILE")
    yield _row("kubeadm", _kubeadm(evidence), "auditctl kubeadm persist" if evidence.kept is False else "")
    for name, value in sorted(manifest.audit_flags.items()):
        yield f"  --{name}={value}"
    version = policy_source.version_of(plane, manifest, live=False)
    if defaults := flags.not_set(flags.effective(manifest, version)):
        yield f"  default: {defaults}"
    if evidence.counters is not None:
        yield from counters.lines(evidence.counters, before)


def _row(name: str, text: str, command: str) -> str:
    return f"{name:11} {text}{f'  [{command}]' if command else ''}"


def _server(plane: ControlPlane, evidence: StatusEvidence) -> str:
    judged, process = evidence.node.diagnosis, evidence.node.evidence.process
    since = f"pid {process.pid}, up {age(plane.clock.boot() - process.started)}" if process is not None else ""
    if judged.state is ServerState.SERVING:
        ready = "ready" if judged.certain else "running (readiness not known)"
        return f"{ready} ({', '.join(filter(None, (evidence.version, since)))})"
    if judged.state is ServerState.UNSEEN:
        return f"not known: {judged.message}"
    named = f" ({since})" if since else ""
    return f"{_server_words(judged.state)}{named}: {judged.message}"


def _policy(plane: ControlPlane, evidence: StatusEvidence) -> str:
    path = evidence.policy
    if path is None:
        return "none is set"
    if evidence.policy_digest is None:
        return f"{path} is {'a directory, not a policy' if path.is_dir() else 'not there'}"
    name = shipped_name(evidence.policy_digest)
    rules = _rules(plane, evidence)
    state = "loaded" if evidence.loaded_digest == evidence.policy_digest else "NOT loaded"
    if evidence.loaded_digest is None:
        state = "not known to be loaded"
    installed = "not installed by auditctl"
    if (by := evidence.installation) is not None:
        when = f" {age((plane.clock.utc() - by.at).total_seconds())} ago" if by.at is not None else ""
        installed = f"installed{when} by {by.person}"
    return f"{f'{name} ({path})' if name else path}, {rules}, {state}, {installed}"


def _rules(plane: ControlPlane, evidence: StatusEvidence) -> str:
    assert evidence.manifest is not None and evidence.policy is not None  # noqa: S101, PT018 (the caller has them)
    try:
        raw = files.read_regular(evidence.policy, "policy")
    except RefusedError:
        return "not readable"
    policy = load(raw, policy_source.version_of(plane, evidence.manifest, live=False)).policy
    if policy is None:
        return "not valid"
    return f"{len(policy.rules)} rule{'' if len(policy.rules) == 1 else 's'}"


def _log(plane: ControlPlane, evidence: StatusEvidence, manifest: Manifest) -> str:
    value = manifest.flag(LOG_FLAG)
    if not value:
        return "none is set"
    if value == STANDARD_OUTPUT:
        return "standard output of the container (not a file)"
    if evidence.log is None:
        return f"{value} in the container only: no volume mounts it"
    ends = evidence.ends
    if ends is None:
        return f"{evidence.log} is not there; {_rotation(evidence, manifest)}"
    last = "no event in it"
    if ends.last is not None:
        last = f"last event {age((plane.clock.utc() - ends.last).total_seconds())} ago"
    return f"{evidence.log}, {amount(ends.size_bytes)}, {last}; {_rotation(evidence, manifest)}"


def _rotation(evidence: StatusEvidence, manifest: Manifest) -> str:
    """Return when the log is rotated and what is kept, with the days that this is at the present rate."""
    value = {
        name: row["value"] for name, row in flags.effective(manifest, (manifest.version or (1, 36, 0))[:2]).items()
    }
    try:
        size, backups, days = (int(str(value[name])) for name in (MAXSIZE_FLAG, MAXBACKUP_FLAG, MAXAGE_FLAG))
    except (KeyError, ValueError):
        return "its rotation cannot be read from the flags"
    if not size and (manifest.version or (1, 36, 0)) >= (1, 36, 0):
        return "never rotated"
    keeps = ", ".join(filter(None, (f"{backups} old files" if backups else "", f"{days} days" if days else "")))
    text = f"rotated at {size or 100} MB, keeps {keeps or 'every old file'}"
    ends = evidence.ends
    if ends is None or ends.first is None or ends.last is None:
        return text
    span = (ends.last - ends.first).total_seconds()
    if span < _LEAST_SPAN_SECONDS:
        return text
    reached = kept(Load(1 / span, ends.size_bytes), RotationFlags(size, backups, days))
    return f"{text} (about {reached.days:.1f} days at the present rate)" if reached.days is not None else text


def _webhook(plane: ControlPlane, manifest: Manifest) -> str:
    value = manifest.flag(WEBHOOK_FLAG)
    if not value:
        return "none"
    mode = manifest.flag("audit-webhook-mode") or "batch"
    try:
        host = node_checks.host_of(plane.root, manifest, WEBHOOK_FLAG)
        if host is None:
            return f"{value} in the container only: no volume mounts it"
        server = urlsplit(webhook_config.parse(files.read_regular(host, "webhook file"), value).server)
    except RefusedError as error:
        return f"{value}: {error.message}"
    return f"to {server.scheme}://{server.hostname}{f':{server.port}' if server.port else ''} ({mode}), from {host}"


def _kubeadm(evidence: StatusEvidence) -> str:
    if evidence.kept is None:
        return f"not known: {evidence.kept_text}"
    if evidence.kept:
        return "kubeadm-config has these settings: kept at the next upgrade"
    return f"NOT kept at the next upgrade: {evidence.kept_text} from kubeadm-config"


def details(plane: ControlPlane, evidence: StatusEvidence) -> dict[str, Any]:
    """Return the ``status`` object of the report; unknown values are None."""
    manifest, process = evidence.manifest, evidence.node.evidence.process
    judged, ends, by = evidence.node.diagnosis, evidence.ends, evidence.installation
    return {
        "enabled": manifest is not None and auditing.is_on(manifest),
        "auditing": {"state": evidence.auditing.state.value, "reason": evidence.auditing.reason},
        "apiServer": {
            "state": judged.state.name.lower().replace("_", "-"),
            "ready": True if evidence.node.is_ready else None if judged.state is ServerState.UNSEEN else False,
            "version": evidence.version or None,
            "upSeconds": round(plane.clock.boot() - process.started, 1) if process is not None else None,
        },
        "process": _process(process, evidence.node.evidence.as_manifest),
        "policy": {
            "name": shipped_name(evidence.policy_digest) or None,
            "onDiskSha256": evidence.policy_digest,
            "loadedSha256": evidence.loaded_digest,
            "installedBy": by.person if by is not None else None,
            "installedAt": by.at.isoformat() if by is not None and by.at is not None else None,
            "change": by.change_id if by is not None else None,
        }
        if evidence.policy is not None
        else None,
        "log": {
            "path": str(evidence.log),
            "bytes": ends.size_bytes,
            "modified": ends.modified,
            "lastEvent": ends.last.isoformat() if ends.last is not None else None,
        }
        if ends is not None
        else None,
        "kubeadmConfig": {"kept": evidence.kept, "reason": evidence.kept_text or None},
        "metrics": counters.row(evidence.counters),
        "lastChange": _last_change(evidence.last_change),
    }


def _last_change(journal: Journal | None) -> dict[str, Any] | None:
    if journal is None:
        return None
    return {
        "id": journal.id,
        "time": journal.started,
        "command": journal.command,
        "outcome": journal.step.value,
        "outageSeconds": outage_of(journal),
    }


def _process(process: Process | None, as_manifest: bool) -> dict[str, Any] | None:  # noqa: FBT001 (a value of the object)
    if process is None:
        return None
    return {
        "pid": process.pid,
        "flags": [flag for flag in process.flags if "audit" in flag],
        "matchesManifest": as_manifest,
    }
