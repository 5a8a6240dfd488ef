"""Why a server that is ready records nothing, or will soon record nothing: a verdict over recorded evidence. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import NamedTuple

from auditctl.durations import parse
from auditctl.findings import Finding, Severity
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.crash import Crash
from auditctl.policy.types import Level, Policy, PolicyRule, Stage
from auditctl.settings import LOG_FLAG, POLICY_FLAG, STANDARD_OUTPUT, WEBHOOK_FLAG

_DELETED = " (deleted)"
_NO_ROOM_BYTES = 1 << 20


class Recording(NamedTuple):
    """What was seen of the log. ``open_files`` are the paths behind the process's descriptors, None where not seen.

    ``host_log`` is the log's path on this machine, empty where no mount leads there; ``free_bytes`` of its file system.
    """

    manifest: Manifest
    policy: Policy | None = None
    host_log: str = ""
    log_there: bool = False
    open_files: tuple[str, ...] | None = None
    free_bytes: int | None = None
    said: Crash | None = None


def judge(seen: Recording) -> Iterator[Finding]:
    """What keeps events from the log, or from being found there."""
    manifest = seen.manifest
    log, webhook = manifest.flag(LOG_FLAG), manifest.flag(WEBHOOK_FLAG)
    if not manifest.flag(POLICY_FLAG):
        yield from _without_policy(log, webhook)
        return
    if not log and not webhook:
        text = "a policy is set, but neither a log nor a webhook: nothing is recorded"
        yield _error("no-backend", text, "auditctl enable")
    if seen.policy is not None and not records_anything(seen.policy):
        text = "the policy records nothing: every rule that a request can come to has level None, or omits every stage"
        yield _error("policy-records-nothing", text, "auditctl enable --policy FILE")
    if log == STANDARD_OUTPUT:
        text = (
            "the audit log is the container's standard output: its lines are among the API server's own, and the kubelet "
            "rotates them away with those (containerLogMaxSize, 10 MiB by default)"
        )
        yield Finding("log-standard-output", Severity.INFO, text, "auditctl enable --log-path PATH keeps it in a file")
    elif log:
        yield from _of_the_log(seen, log)
    yield from _batch(manifest)
    if seen.said is not None and seen.said.certain and seen.said.heals:
        yield _error(seen.said.name, str(seen.said._replace(place=None)), seen.said.fix)


def _without_policy(log: str | None, webhook: str | None) -> Iterator[Finding]:
    if log or webhook:
        text = f"{'a log' if log else 'a webhook'} is set, but no policy: nothing is recorded"
        yield _error("no-policy", text, "auditctl enable")
    else:
        yield Finding(
            "auditing-off", Severity.INFO, "auditing is off: the manifest sets no audit flags", "auditctl enable"
        )


def records_anything(policy: Policy) -> bool:
    """Is there a rule that writes an event, and can a request come to it? Behind one without conditions none does."""
    for rule in policy.rules:
        omitted = set(policy.omit_stages) | set(rule.omit_stages)
        if rule.level is not Level.NONE and omitted != set(Stage):
            return True
        if rule == PolicyRule(
            rule.level, omit_stages=rule.omit_stages, omit_managed_fields=rule.omit_managed_fields, line=rule.line
        ):
            return False
    return False


def _of_the_log(seen: Recording, log: str) -> Iterator[Finding]:
    if not seen.host_log:
        text = f"no mount covers {log}: events go into the container's own file system, and are lost with it"
        yield _error("log-not-mounted", text, "auditctl enable")
        return
    if (place := seen.manifest.host_path(log)) is not None and str(place.path) != log:
        text = f"--{LOG_FLAG} is a path of the container, {log}; on this node that file is {place.path}"
        yield Finding("log-elsewhere", Severity.INFO, text)
    if (lost := _dead_file(seen, log)) is not None:
        text = (
            f"the API server writes to a file that is no longer {seen.host_log} ({lost}): it was removed or renamed "
            "from outside, and every event since is lost to whoever reads there"
        )
        yield _error(
            "dead-log", text, "auditctl doctor --fix (restarts the API server); let no logrotate touch the log"
        )
    if seen.free_bytes is not None and seen.free_bytes < _NO_ROOM_BYTES:
        yield _error("disk-full", f"the file system of {seen.host_log} is full: events are lost", "make room on it")


def _dead_file(seen: Recording, log: str) -> str | None:
    """Another file of the log's directory that the server holds open, while it does not hold the log."""
    folders = {posixpath.dirname(log), posixpath.dirname(seen.host_log)}
    held = [path for path in seen.open_files or () if posixpath.dirname(path) in folders]
    name = posixpath.basename(log)
    if not held or (seen.log_there and any(posixpath.basename(path) == name for path in held)):
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
        yield Finding("batch-delay", Severity.INFO, text)


def _error(check: str, message: str, fix: str) -> Finding:
    return Finding(check, Severity.ERROR, message, fix)
