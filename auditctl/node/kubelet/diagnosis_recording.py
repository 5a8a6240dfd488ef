"""Judge why a server that is ready records nothing, or will soon record nothing. Pure: the evidence is given."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, replace

from auditctl.durations import parse
from auditctl.findings import Finding, Severity
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.crash import Crash
from auditctl.policy.types import Level, Policy, PolicyRule, Stage
from auditctl.settings import LOG_FLAG, LOG_PATH, POLICY_FLAG, STANDARD_OUTPUT, WEBHOOK_FLAG

_NO_ROOM_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The evidence of the log. ``open_files`` are the paths behind the process's descriptors, None where not visible.

    ``host_log`` is the log's path on this machine, empty where no mount leads there; ``free_bytes`` of its file system.
    ``older_log`` is a log on this machine that looks like the audit log, and that the API server does not write.
    """

    manifest: Manifest
    policy: Policy | None = None
    host_log: str = ""
    log_there: bool = False
    open_files: tuple[str, ...] | None = None
    free_bytes: int | None = None
    said: Crash | None = None
    older_log: str = ""


def judge(recording: Recording) -> Iterator[Finding]:
    """Yield what keeps events from the log, or from being found there."""
    manifest = recording.manifest
    log, webhook = manifest.flag(LOG_FLAG), manifest.flag(WEBHOOK_FLAG)
    if not manifest.flag(POLICY_FLAG):
        yield from _without_policy(log, webhook)
        return
    if not log and not webhook:
        text = "a policy is set, but neither a log nor a webhook: nothing is recorded"
        yield _error("no-backend", text, "auditctl enable")
    if recording.policy is not None and not records_anything(recording.policy):
        text = "the policy records nothing: every rule that a request can match has level None, or omits every stage"
        yield _error("policy-records-nothing", text, "auditctl enable --policy baseline")
    if log == STANDARD_OUTPUT:
        yield _standard_output(recording)
    elif log:
        yield from _of_the_log(recording, log)
    yield from _batch(manifest)
    said = recording.said
    if said is not None and said.certain and said.heals:
        yield _error(said.name, str(replace(said, place=None)), said.fix)


def _standard_output(recording: Recording) -> Finding:
    """Return a note; a warning where a log that is not written any more shows that there was a file before."""
    text = (
        "the audit log is the container's standard output: its lines are among the API server's own, and the kubelet "
        "removes them with those at rotation (containerLogMaxSize, 10 MiB by default)"
    )
    if not recording.older_log:
        return Finding(
            check="log-standard-output",
            severity=Severity.INFO,
            message=text,
            fix=f"auditctl enable --log-path {LOG_PATH}",
        )
    text += f"; {recording.older_log} is there, and is not written any more"
    return Finding(
        check="log-standard-output",
        severity=Severity.WARNING,
        message=text,
        fix=f"auditctl enable --log-path {LOG_PATH}",
    )


def _without_policy(log: str | None, webhook: str | None) -> Iterator[Finding]:
    if log or webhook:
        text = f"{'a log' if log else 'a webhook'} is set, but no policy: nothing is recorded"
        yield _error("no-policy", text, "auditctl enable")
    else:
        yield Finding(
            check="auditing-off",
            severity=Severity.INFO,
            message="auditing is off: the manifest sets no audit flags",
            fix="auditctl enable",
        )


def records_anything(policy: Policy) -> bool:
    """Tell whether a rule writes events and can be reached: no request passes a rule without conditions."""
    for rule in policy.rules:
        omitted = set(policy.omit_stages) | set(rule.omit_stages)
        if rule.level is not Level.NONE and omitted != set(Stage):
            return True
        if rule == PolicyRule(
            level=rule.level, omit_stages=rule.omit_stages, omit_managed_fields=rule.omit_managed_fields, line=rule.line
        ):
            return False
    return False


def _of_the_log(recording: Recording, log: str) -> Iterator[Finding]:
    host = recording.host_log
    if not host:
        text = f"no mount covers {log}: events go into the container's own file system, and are lost with it"
        yield _error("log-not-mounted", text, "auditctl enable")
        return
    if (place := recording.manifest.host_path(log)) is not None and str(place.path) != log:
        yield _elsewhere(recording, log, place.path)
    if (lost := _dead_file(recording, log)) is not None:
        text = (
            f"the API server writes to a file that is no longer {host} ({lost}): it was removed or renamed from outside, "
            f"and no event since is in {host}"
        )
        fix = "auditctl doctor --fix  # restarts the API server; then exclude this log from logrotate: the API server rotates it itself"
        yield _error("dead-log", text, fix)
    if recording.free_bytes is not None and recording.free_bytes < _NO_ROOM_BYTES:
        yield _error(
            "disk-full", f"the file system of {host} is full: events are lost", f"df -h {host}; make room on it"
        )


def _elsewhere(recording: Recording, log: str, host: str) -> Finding:
    """Return a note on the two paths; a warning where a log lies at the path that the flag seems to name."""
    text = f"--{LOG_FLAG} is a path of the container, {log}; on this node that file is {host}"
    if not recording.older_log:
        return Finding(check="log-elsewhere", severity=Severity.INFO, message=text)
    text += f"; {recording.older_log} is another file, and the API server does not write it"
    fix = f"read {host}, or correct the hostPath of the volume that is mounted at {posixpath.dirname(log)}"
    return Finding(check="log-elsewhere", severity=Severity.WARNING, message=text, fix=fix)


def _dead_file(recording: Recording, log: str) -> str | None:
    """Return another file of the log's directory that the server holds open, while it does not hold the log."""
    folders = {posixpath.dirname(log), posixpath.dirname(recording.host_log)}
    held = [path for path in recording.open_files or () if posixpath.dirname(path) in folders]
    name = posixpath.basename(log)
    if not held or (recording.log_there and any(posixpath.basename(path) == name for path in held)):
        return None
    stem = posixpath.splitext(name)[0]
    return next((path for path in held if posixpath.basename(path).startswith(stem)), None)


def _batch(manifest: Manifest) -> Iterator[Finding]:
    if manifest.flag("audit-log-mode") != "batch":
        return
    try:
        seconds = parse(manifest.flag("audit-log-batch-max-wait") or "0s")
    except ValueError:
        return
    if seconds >= 1:
        text = f"the log is written in batches: an event may take {seconds:g} s until it is in the file"
        yield Finding(check="batch-delay", severity=Severity.INFO, message=text)


def _error(check: str, message: str, fix: str) -> Finding:
    return Finding(check=check, severity=Severity.ERROR, message=message, fix=fix)
