"""A server's audit options made into what records: policy, log, webhook, in the real server's order (apiserver/pkg/server/options/audit.go)."""

from __future__ import annotations

import sys
from collections.abc import Callable

from auditctl.errors import AuditctlError
from auditctl.facts import Version
from auditctl.lab.apiserver import log_rotation, webhook_backend
from auditctl.lab.apiserver.audit_backends import Backend, BackendCounters, Batched, LogBackend
from auditctl.lab.apiserver.audit_events import Recorder
from auditctl.lab.apiserver.audit_options import Options
from auditctl.lab.apiserver.container_files import FileSystem
from auditctl.lab.apiserver.log_rotation import RotatingFile, RotationRule
from auditctl.lab.apiserver.webhook_backend import WebhookBackend
from auditctl.lab.node import klog
from auditctl.lab.node.klog import KlogSeverity
from auditctl.policy.load import load
from auditctl.policy.types import Policy

MAXSIZE_ZERO_IS_OFF: Version = (1, 36, 0)


class StartError(AuditctlError):
    """The server ends before it serves; the message is the `err=` of its last line."""


def recorder(options: Options, files: FileSystem, disk_full: Callable[[], bool]) -> Recorder:
    """``disk_full`` is asked before every write of the log's file. Raises StartError in the server's words."""
    policy, counters = _policy(options, files), BackendCounters()
    backends = (_log(options, files, counters, disk_full), _webhook(options, files, counters))
    return Recorder(policy, [backend for backend in backends if backend is not None], counters)


def _policy(options: Options, files: FileSystem) -> Policy | None:
    """Read once, and refused even where no backend is set."""
    path = options.value("policy-file")
    if not path:
        return None
    try:
        raw = files.read(path)
    except OSError as error:
        call = "read" if files.host(path).is_dir() else "open"
        words = f"failed to read file path {klog.quote(path)}: {call} {path}: {_words(error)}"
        raise StartError(f"loading audit policy file: {words}") from error
    loaded = load(raw, options.version[:2])
    if loaded.warning:
        words = f"Audit policy contains errors, falling back to lenient decoding: {loaded.warning}"
        klog.write(klog.line(KlogSeverity.WARNING, "reader.go:81", words, 1))
    if loaded.policy is None:
        raise StartError(f"loading audit policy file: {loaded.error}: from file {path}")
    return loaded.policy


def _log(
    options: Options, files: FileSystem, counters: BackendCounters, disk_full: Callable[[], bool]
) -> Backend | None:
    path = options.value("log-path")
    if not path:
        return None
    sink = StandardOutput() if path == "-" else _log_file(options, files, path, disk_full)
    strict = options.value("log-mode") == "blocking-strict"
    backend = LogBackend(sink, counters, options.value("log-format"), strict=strict)
    return _in_mode(options, "log", backend, counters)


def _log_file(options: Options, files: FileSystem, path: str, disk_full: Callable[[], bool]) -> RotatingFile:
    try:
        log_rotation.ensure(files, path)
    except log_rotation.LogFileError as error:
        raise StartError(error.message) from error
    kept = RotationRule.of(
        options.number("log-maxsize"),
        options.number("log-maxage"),
        options.number("log-maxbackup"),
        compress=options.value("log-compress") == "true",
        zero_is_off=options.version >= MAXSIZE_ZERO_IS_OFF,
    )
    return RotatingFile(files=files, path=path, rotation=kept, disk_full=disk_full)


def _webhook(options: Options, files: FileSystem, counters: BackendCounters) -> Backend | None:
    if path := options.value("webhook-config-file"):
        try:
            destination = webhook_backend.check(files, path)
        except webhook_backend.WebhookError as error:
            raise StartError(f"initializing audit webhook: {error.message}") from error
        pause = options.seconds("webhook-initial-backoff")
        strict = options.value("webhook-mode") == "blocking-strict"
        backend = WebhookBackend(destination, counters, pause, strict=strict)
        return _in_mode(options, "webhook", backend, counters)
    if options.value("webhook-version").count("/") > 1:  # parsed without a webhook, too
        raise StartError(f"unexpected GroupVersion string: {options.value('webhook-version')}")
    return None


def _in_mode(options: Options, name: str, backend: Backend, counters: BackendCounters) -> Backend:
    """Batched, where the mode says so."""
    if options.value(f"{name}-mode") != "batch":
        return backend
    size, buffered = options.number(f"{name}-batch-max-size"), options.number(f"{name}-batch-buffer-size")
    wait = options.seconds(f"{name}-batch-max-wait")
    return Batched(
        inner=backend,
        counters=counters,
        max_size=size,
        max_wait_seconds=wait,
        buffer_size=buffered,
        concurrent=name == "webhook",
    )


class StandardOutput:
    """`--audit-log-path=-`."""

    def write(self, line: bytes) -> None:
        """A reader that has gone away loses the line, and nothing else."""
        try:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
        except OSError as error:
            raise log_rotation.LogFileError(f"write /dev/stdout: {_words(error)}") from error


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
