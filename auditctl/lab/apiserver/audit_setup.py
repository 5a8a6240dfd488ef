"""A server's audit options made into what records: policy, log, webhook, in the real server's order (apiserver/pkg/server/options/audit.go)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from auditctl import durations
from auditctl.errors import AuditctlError
from auditctl.facts import Version, audit_flags
from auditctl.lab.apiserver import log_rotation, webhook_backend
from auditctl.lab.apiserver.audit_backends import Backend, BackendCounters, Batched, LogBackend
from auditctl.lab.apiserver.audit_events import Recorder
from auditctl.lab.apiserver.container_files import FileSystem
from auditctl.lab.apiserver.log_rotation import RotatingFile, RotationRule
from auditctl.lab.apiserver.webhook_backend import WebhookBackend
from auditctl.lab.node import klog
from auditctl.lab.node.klog import KlogSeverity
from auditctl.policy.load import load
from auditctl.policy.types import Policy

MODES = ("batch", "blocking", "blocking-strict")


@dataclass(frozen=True, slots=True)
class Options:
    """Flag values by name without dashes, as given."""

    values: Mapping[str, str]
    version: Version

    def value(self, name: str) -> str:
        """Return the value of `--audit-NAME`, else the version's default."""
        return self.values.get(f"audit-{name}", audit_flags()[f"audit-{name}"].default(self.version))

    def number(self, name: str) -> int:
        return int(self.value(name) or 0)

    def seconds(self, name: str) -> float:
        """Return the seconds of a duration flag; it is well-formed, because flags are checked before."""
        return durations.parse(self.value(name))


def validate(options: Options) -> list[str]:
    """Return every complaint in the server's order; a backend without a path is not examined."""
    errors: list[str] = []
    if options.value("log-path"):
        errors += [*_backend(options, "log"), *_log_faults(options)]
    if options.value("webhook-config-file"):
        errors += _backend(options, "webhook")
    return errors


def aggregate(errors: list[str]) -> str:
    """Return several errors as Go prints them: one without brackets, more with."""
    return errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"


def _backend(options: Options, name: str) -> Iterator[str]:
    """Yield the first failure of the batch group and of the truncate group."""
    for group in (_batch(options, name), _truncate(options, name), _version(options, name)):
        yield from list(group)[:1]


def _batch(options: Options, name: str) -> Iterator[str]:
    mode = options.value(f"{name}-mode")
    if mode not in MODES:
        yield f'invalid audit {name} mode {mode}, allowed modes are "{",".join(MODES)}"'
    if mode != "batch":
        return
    limits = [("batch-buffer-size", "buffer size"), ("batch-max-size", "max batch size")]
    if options.value(f"{name}-batch-throttle-enable") == "true":
        limits += [("batch-throttle-qps", "throttle QPS"), ("batch-throttle-burst", "throttle burst")]
    for flag, words in limits:
        value = options.value(f"{name}-{flag}")
        if float(value) <= 0:
            yield f"invalid audit batch {name} {words} {value}, must be a positive number"


def _truncate(options: Options, name: str) -> Iterator[str]:
    """Yield faults of truncation, also where it is off; equality passes, whatever the words say."""
    event, batch = (options.number(f"{name}-truncate-max-{part}-size") for part in ("event", "batch"))
    if event <= 0:
        yield f"invalid audit truncate {name} max event size {event}, must be a positive number"
    if batch < event:
        yield f"invalid audit truncate {name} max batch size {batch}, must be greater than max event size ({event})"


def _version(options: Options, name: str) -> Iterator[str]:
    version = options.value(f"{name}-version")
    if version.count("/") > 1:
        yield f"unexpected GroupVersion string: {version}"
    if version != "audit.k8s.io/v1":
        yield 'invalid group version, allowed versions are ["audit.k8s.io/v1"]'


def _log_faults(options: Options) -> Iterator[str]:
    form = options.value("log-format")
    if form not in ("legacy", "json"):
        yield f'invalid audit log format {form}, allowed formats are "legacy,json"'
    for flag in ("log-maxage", "log-maxbackup", "log-maxsize"):
        if options.number(flag) < 0:
            yield f"--audit-{flag} {options.number(flag)} can't be a negative number"


MAXSIZE_ZERO_IS_OFF: Version = (1, 36, 0)


class StartError(AuditctlError):
    """The server ends before it serves; the message is the `err=` of its last line."""


def recorder(options: Options, files: FileSystem, disk_full: Callable[[], bool]) -> Recorder:
    """Return the recorder; ``disk_full`` is called before each write of the log. Raises StartError."""
    policy, counters = _policy(options, files), BackendCounters()
    backends = (_log(options, files, counters, disk_full), _webhook(options, files, counters))
    return Recorder(policy, [backend for backend in backends if backend is not None], counters)


def _policy(options: Options, files: FileSystem) -> Policy | None:
    """Return the policy, read once; a bad one is refused even where no backend is set."""
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
    """Return the backend, batched where the mode says so."""
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
        """Write the line; lose it, and nothing else, where the reader has gone away."""
        try:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
        except OSError as error:
            raise log_rotation.LogFileError(f"write /dev/stdout: {_words(error)}") from error


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
