"""The audit options of kube-apiserver: their defaults, and what its own validation says of them.

Source: staging/src/k8s.io/apiserver/pkg/server/options/audit.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from auditctl import durations
from auditctl.facts import Version, audit_flags

MODES = ("batch", "blocking", "blocking-strict")


@dataclass(frozen=True, slots=True)
class Options:
    """Flag values by name without dashes, as given."""

    values: Mapping[str, str]
    version: Version

    def value(self, name: str) -> str:
        """The value of `--audit-NAME`, else the version's default."""
        return self.values.get(f"audit-{name}", audit_flags()[f"audit-{name}"].default(self.version))

    def number(self, name: str) -> int:
        return int(self.value(name) or 0)

    def seconds(self, name: str) -> float:
        """A duration; flags with one have been read, so it is well-formed."""
        return durations.parse(self.value(name))


def validate(options: Options) -> list[str]:
    """Every complaint, in the server's order. A backend without a path is not looked at."""
    errors: list[str] = []
    if options.value("log-path"):
        errors += [*_backend(options, "log"), *_log(options)]
    if options.value("webhook-config-file"):
        errors += _backend(options, "webhook")
    return errors


def aggregate(errors: list[str]) -> str:
    """How Go prints several errors: one without brackets, more with."""
    return errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"


def _backend(options: Options, name: str) -> Iterator[str]:
    """Of the batch group and of the truncate group only the first failure is reported."""
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
    """Checked even when truncation is off; equality passes, whatever the words say."""
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


def _log(options: Options) -> Iterator[str]:
    form = options.value("log-format")
    if form not in ("legacy", "json"):
        yield f'invalid audit log format {form}, allowed formats are "legacy,json"'
    for flag in ("log-maxage", "log-maxbackup", "log-maxsize"):
        if options.number(flag) < 0:
            yield f"--audit-{flag} {options.number(flag)} can't be a negative number"
