"""``status``: what the manifest says, what the process was started with, what it loaded, what is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from auditctl.compatibility import UTC
from auditctl.errors import RefusedError
from auditctl.findings import Finding, Severity
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.crash import recognise
from auditctl.node.apiserver.metrics import Counters
from auditctl.node.apiserver.process import Process, listener, untrusted_listener
from auditctl.node.change import files
from auditctl.node.change.journal import Step
from auditctl.node.kubelet import pod_logs
from auditctl.node.preflight import node_checks
from auditctl.node.standby import pod as standby_pod
from auditctl.node.trusted_process import Untrusted
from auditctl.operations import flags, policy_source
from auditctl.operations.change.report import settled
from auditctl.operations.change.watchdog_notice import notice
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.change_records import damaged
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence import counters, last_known_good
from auditctl.report import ManifestChange, Outcome, Report
from auditctl.settings import LOG_FLAG, POLICY_FLAG, WEBHOOK_FLAG


class _StatusEvidence(NamedTuple):
    """What `status` looked at."""

    manifest: Manifest
    process: Process | None
    policy: Path | None
    loaded: str | None
    log: Path | None
    effective: dict[str, dict[str, str | bool]]
    counters: Counters | None = None
    stranger: Untrusted | None = None

    @property
    def enabled(self) -> bool:
        has_backend = self.manifest.flag(LOG_FLAG) or self.manifest.flag(WEBHOOK_FLAG)
        return bool(self.manifest.flag(POLICY_FLAG) and has_backend)


def status(plane: ControlPlane, memory: counters.Memory | None = None) -> Report:
    """Look, change nothing; of the API server only its counters are asked. With a ``memory`` rates are told, too.

    Raises:
        RefusedError: the manifest cannot be read.
    """
    snapshot, manifest = plane.read_manifest()
    seen = _look(plane, manifest)
    before = memory.before(seen.counters, plane.clock.monotonic()) if memory and seen.counters else None
    findings = tuple(_findings(plane, seen))
    bad = [finding for finding in findings if finding.severity is not Severity.INFO]
    state = "on" if seen.enabled else "off"
    summary = f"auditing is {state}" + (f"; {len(bad)} finding{'' if len(bad) == 1 else 's'}" if bad else "")
    return Report(
        "status",
        Outcome.NEGATIVE if bad else Outcome.UNCHANGED,
        summary,
        ManifestChange(str(plane.manifest_path), snapshot.sha256, snapshot.sha256),
        settings=settled(plane, manifest)._replace(effective=seen.effective),
        findings=findings,
        lines=tuple(_lines(seen, before)),
        details={"status": _details(seen)},
    )


def _look(plane: ControlPlane, manifest: Manifest) -> _StatusEvidence:
    process = listener(manifest.secure_port, manifest)
    loaded = last_known_good.loaded(plane, manifest, process)
    return _StatusEvidence(
        manifest,
        process,
        node_checks.host_of(plane.root, manifest, POLICY_FLAG),
        files.sha256(loaded) if loaded is not None else None,
        node_checks.host_of(plane.root, manifest, LOG_FLAG),
        flags.effective(manifest, policy_source.version_of(plane, manifest, live=False)),
        counters.read(plane, manifest) if process is not None and process.runs(manifest.command) else None,
        untrusted_listener(manifest.secure_port, manifest) if process is None else None,
    )


def _findings(plane: ControlPlane, seen: _StatusEvidence) -> Iterator[Finding]:
    if seen.stranger is not None:
        text, fix = seen.stranger.on(seen.manifest.secure_port), seen.stranger.fix
        yield Finding("untrusted-listener", Severity.ERROR, text, fix)
    elif seen.process is None:
        yield _warning(
            "apiserver-ready",
            f"no kube-apiserver that we can see listens on port {seen.manifest.secure_port}{_last_words(plane, seen)}",
            f"look at {plane.root.host('/var/log/pods')} and the kubelet's log",
        )
    elif not seen.process.runs(seen.manifest.command):
        yield _warning(
            "drift", f"process {seen.process.pid} was not started with the manifest's command line", "auditctl restart"
        )
    on_disk = files.digest(seen.policy) if seen.policy is not None else None
    if seen.enabled and seen.process is not None and on_disk is not None and seen.loaded != on_disk:
        text = f"{seen.policy} was edited after the API server had started, and is not loaded"
        if seen.loaded is None:
            text = f"{seen.policy} was touched after the API server had started; what it loaded is not known"
        yield _warning("policy-not-loaded", text, "auditctl restart")
    if seen.policy is not None and not seen.policy.is_file():
        yield _warning(
            "policy-missing",
            f"{seen.policy} is not there: the next start of the API server fails",
            "auditctl enable --policy FILE",
        )
    if seen.policy is not None and seen.policy.is_file():
        yield from _policy_findings(plane, seen.manifest, seen.policy)
    if seen.manifest.flag(POLICY_FLAG) and not seen.enabled:
        yield _warning(
            "no-backend", "a policy is set, but neither a log nor a webhook: nothing is recorded", "auditctl enable"
        )
    if seen.manifest.flag(LOG_FLAG) and not seen.manifest.flag(POLICY_FLAG):
        yield _warning("no-policy", "a log is set, but no policy: nothing is recorded", "auditctl enable")
    yield from node_checks.stray_manifests(plane.manifest_path, seen.manifest)
    yield from _change_findings(plane)
    if seen.counters is not None:
        yield from counters.findings(seen.counters, enabled=seen.enabled)


def _change_findings(plane: ControlPlane) -> Iterator[Finding]:
    """What our own records say: a change that runs, was interrupted, or was left as it failed."""
    journals = plane.state.journals()
    if plane.state.is_locked():
        yield Finding("running-change", Severity.INFO, f"{plane.state.holder()} is changing this node now")
    else:
        for journal in (journal for journal in journals if not journal.finished):
            text = f"change {journal.id} ({journal.command}) was interrupted at {journal.step.value}"
            yield _warning("interrupted-change", text, "auditctl recover")
        if standby_pod.remains(plane.root, plane.manifest_path):
            yield _warning(
                "standby", "an interrupted run has left a standby server or its redirect", "auditctl recover"
            )
    yield from notice(plane)
    yield from damaged(plane)
    if journals and journals[-1].step is Step.STRANDED:
        text = f"change {journals[-1].id} ({journals[-1].command}) failed and was not put back"
        yield _warning("stranded-change", text, f"auditctl rollback {journals[-1].id} --allow apiserver-ready")


def _last_words(plane: ControlPlane, seen: _StatusEvidence) -> str:
    """The server's own last fatal line, where it left one."""
    logs = pod_logs.container_logs(plane.root, seen.manifest)
    crash = recognise(pod_logs.last_lines(logs[-1].path)) if logs else None
    return f"; its last words: {crash.words}" if crash else ""


def _policy_findings(plane: ControlPlane, manifest: Manifest, policy: Path) -> Iterator[Finding]:
    """What the next start of the API server would say of the policy on disk."""
    version = policy_source.version_of(plane, manifest, live=False)
    try:
        policy_source.judge(str(policy), files.read_regular(policy, "policy"), version, ChangeOptions())
    except RefusedError as error:
        yield Finding("policy", Severity.ERROR, error.message, "repair it, then: auditctl restart", file=str(policy))


def _warning(check: str, message: str, fix: str) -> Finding:
    return Finding(check, Severity.WARNING, message, fix)


def _lines(seen: _StatusEvidence, before: tuple[Counters, float] | None) -> Iterator[str]:
    for name, value in sorted(seen.manifest.audit_flags.items()):
        yield f"  --{name}={value}"
    if defaults := flags.not_set(seen.effective):
        yield f"  not set: {defaults}"
    if seen.policy is not None:
        is_loaded = seen.loaded is not None and seen.loaded == files.digest(seen.policy)
        loaded = "loaded by the running process" if is_loaded else "not known to be loaded"
        yield f"policy   {seen.policy} ({loaded})"
    if seen.log is not None:
        yield f"log      {seen.log} ({_log_text(seen.log)})"
    if seen.process is not None:
        runs = "as the manifest says" if seen.process.runs(seen.manifest.command) else "NOT as the manifest says"
        yield f"process  {seen.process.pid}, started {runs}"
    if seen.counters is not None:
        yield from counters.lines(seen.counters, before)


def _log_text(log: Path) -> str:
    try:
        found = log.stat()
    except OSError:
        return "not there"
    written = datetime.fromtimestamp(found.st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{found.st_size} bytes, last written {written}"


def _details(seen: _StatusEvidence) -> dict[str, Any]:
    process = seen.process
    on_disk = files.digest(seen.policy) if seen.policy is not None else None
    log: dict[str, Any] | None = None
    if seen.log is not None:
        with suppress(OSError, RefusedError):
            found = seen.log.stat()
            log = {"path": str(seen.log), "bytes": found.st_size, "modified": found.st_mtime}
    return {
        "enabled": seen.enabled,
        "process": {
            "pid": process.pid,
            "flags": [flag for flag in process.flags if "audit" in flag],
            "matchesManifest": process.runs(seen.manifest.command),
        }
        if process
        else None,
        "policy": {"onDiskSha256": on_disk, "loadedSha256": seen.loaded} if seen.policy is not None else None,
        "log": log,
        "metrics": counters.row(seen.counters),
    }
