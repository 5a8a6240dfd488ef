"""Are the values of the audit flags legal for a server of that version, and sensible together? Pure; no file is asked.

The errors are what the server's own parser and ``Validate()`` would refuse (``apiserver/pkg/server/options/audit.go``,
1.19 to 1.37), the warnings what it accepts to the harm of its user. Unset means default.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from auditctl.durations import parse
from auditctl.facts import TABLE_BEGINS, AuditFlag, FlagType, audit_flags
from auditctl.findings import Finding, Severity
from auditctl.manifest.flag_targets import PATTERNS
from auditctl.manifest.paths import STREAMS, normalised_path
from auditctl.settings import LOG_FLAG, MAXAGE_FLAG, MAXBACKUP_FLAG, MAXSIZE_FLAG, STANDARD_OUTPUT, WEBHOOK_FLAG

STRICT = "blocking-strict"
BATCH = "batch"
MODES = (BATCH, "blocking", STRICT)
FORMATS = ("legacy", "json")
_V1 = "audit.k8s.io/v1"
_BETA_VERSIONS = ("audit.k8s.io/v1beta1", "audit.k8s.io/v1alpha1")
_BETA_UNTIL = (1, 23)
_BOUNDED_SINCE = (1, 36)
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_ROTATION = (MAXAGE_FLAG, MAXBACKUP_FLAG, MAXSIZE_FLAG)
_GIGABYTE = 1024  # in MiB
Version = tuple[int, int]


class Flags(NamedTuple):
    """The audit flags that a manifest sets, and the version that gives the rest."""

    given: Mapping[str, str]
    version: Version

    def value(self, name: str) -> str:
        """Return the effective value: set, or the default of the version."""
        return self.given.get(name, audit_flags()[name].default((*self.version, 0)))

    def number(self, name: str) -> float:
        return float(self.value(name))

    def on(self, name: str) -> bool:
        return self.value(name) in _TRUE


def complaints(given: Mapping[str, str], version: Version, before: Mapping[str, str] | None = None) -> list[Finding]:
    """Return what is wrong with the audit flags ``given``, errors first.

    ``before`` are those of the manifest as it stands: what it has had already is not refused for being unwise.
    """
    wrong = [finding for name, value in given.items() for finding in _alone(name, value, version)]
    if wrong:
        return wrong  # together they cannot be weighed before each can be read
    flags = Flags(given, version)
    findings = [*_unconditional(flags), *_log(flags)]
    for backend, path in (("log", LOG_FLAG), ("webhook", WEBHOOK_FLAG)):
        if flags.value(path):
            findings += [*_refused(flags, backend), *_unwise(flags, backend, before or {})]
        else:
            findings += _idle(flags, backend, path)
    return sorted(findings, key=lambda finding: finding.severity is not Severity.ERROR)


def _alone(name: str, value: str, version: Version) -> Iterator[Finding]:
    """Yield what the server's parser refuses of one flag."""
    flag = audit_flags().get(name)
    if flag is None and " " in name:
        text = "name and value are one item, which kube-apiserver takes for the name of a flag"
        yield _error("unknown-flag", name, text, f"write --{name.replace(' ', '=', 1)}")
    elif flag is None:
        near = get_close_matches(name, audit_flags(), n=1)
        fix = f"did you mean --{near[0]}?" if near else "`auditctl flags` lists them all"
        yield _error("unknown-flag", name, "is not an audit flag of kube-apiserver, which would not start", fix)
    elif not is_known(flag, version):
        since = f"{flag.since[0]}.{flag.since[1]}"
        yield _error("flag-version", name, f"came with {since}; kube-apiserver {_text(version)} would not start", "")
    elif not re.fullmatch(PATTERNS[flag.type], value):
        yield _error("flag-value", name, f"{value!r} is not {flag.type.in_words}", _form(flag))


def is_known(flag: AuditFlag, version: Version) -> bool:
    """Tell whether a server of that version knows the flag."""
    return flag.since == TABLE_BEGINS or (*version, 0) >= flag.since


def _form(flag: AuditFlag) -> str:
    return {FlagType.DURATION: "write a unit, as in 5s", FlagType.BOOL: "write true or false"}.get(
        flag.type, "write a number"
    )


def _unconditional(flags: Flags) -> Iterator[Finding]:
    """Yield faults of API versions: the webhook's is parsed even without a webhook, the log's only with a log."""
    version = flags.value("audit-webhook-version")
    if version.count("/") > 1:
        yield _error("flag-value", "audit-webhook-version", f"{version!r} is not a group and version", f"write {_V1}")


def _refused(flags: Flags, backend: str) -> Iterator[Finding]:
    """Yield what ``Validate()`` refuses of a backend that is configured."""
    mode, version = flags.value(f"audit-{backend}-mode"), flags.value(f"audit-{backend}-version")
    if mode not in MODES:
        text = f"{mode!r} is not a mode; allowed modes are {', '.join(MODES)}"
        yield _error("flag-value", f"audit-{backend}-mode", text, "write batch, or leave the flag out")
    known = (_V1, *_BETA_VERSIONS) if flags.version <= _BETA_UNTIL else (_V1,)
    if version not in known:
        yield _error("flag-value", f"audit-{backend}-version", f"{version!r} is not known", f"write {_V1}")
    positive = ["truncate-max-event-size"]
    if mode == BATCH:
        positive += ["batch-buffer-size", "batch-max-size"]
        if flags.on(f"audit-{backend}-batch-throttle-enable"):
            positive += ["batch-throttle-qps", "batch-throttle-burst"]
    for name in (f"audit-{backend}-{end}" for end in positive):
        if flags.number(name) <= 0:
            yield _error("flag-value", name, f"is {flags.value(name)}, and must be above 0", "write a positive number")
    event, batch = (f"audit-{backend}-truncate-max-{unit}-size" for unit in ("event", "batch"))
    if flags.number(batch) < flags.number(event):
        text = f"is {flags.value(batch)}, below the max event size (--{event}={flags.value(event)}): the server would not start"
        yield _error("truncate-sizes", batch, text, f"raise --{batch} too (it has no other effect)")


def _log(flags: Flags) -> Iterator[Finding]:
    """Yield faults of the log alone: its format, its rotation, its path."""
    path = flags.value(LOG_FLAG)
    if not path:
        return
    form = flags.value("audit-log-format")
    if form not in FORMATS:
        yield _error("flag-value", "audit-log-format", f"{form!r} is not a format", f"one of: {', '.join(FORMATS)}")
    elif form == "legacy":
        yield _warning(
            "legacy-format",
            "audit-log-format",
            "legacy has no bodies and no annotations",
            "auditctl enable --set audit-log-format=json",
        )
    for name in _ROTATION:
        if flags.number(name) < 0:
            yield _error("flag-value", name, "cannot be negative", "write 0 or more")
    if path.startswith(STREAMS):
        text = f"{path} would be rotated like a file; only - is standard output"
        yield _error("stream-as-file", LOG_FLAG, text, f"write --{LOG_FLAG}=-")
    elif path == STANDARD_OUTPUT:
        useless = sorted({*_ROTATION, "audit-log-compress"} & set(flags.given))
        if useless:
            yield _warning("flag-unused", useless[0], "means nothing while the log is standard output", "unset it")
    else:
        yield from _rotation(flags)


def _rotation(flags: Flags) -> Iterator[Finding]:
    size, age, backups = (int(flags.number(name)) for name in (MAXSIZE_FLAG, MAXAGE_FLAG, MAXBACKUP_FLAG))
    if size == 0 and flags.version >= _BOUNDED_SINCE:
        text = "0 switches rotation off from 1.36 on: one file grows until the disk is full"
        yield _warning("maxsize-zero", MAXSIZE_FLAG, text, "write 100")
    elif size == 0 and MAXSIZE_FLAG in flags.given:
        text = f"0 means 100 MiB for {_text(flags.version)}, and no rotation at all after an upgrade to 1.36"
        yield _warning("maxsize-zero", MAXSIZE_FLAG, text, "write 100")
    if age == 0 and backups == 0 and not (size == 0 and flags.version >= _BOUNDED_SINCE):
        text = "and --audit-log-maxbackup are both 0: rotated files are kept until the disk is full"
        yield _warning("retention", MAXAGE_FLAG, text, "write 30 and 10")
    if size > _GIGABYTE:
        yield _warning("maxsize-large", MAXSIZE_FLAG, f"{size} MiB make files that few tools read well", "write 100")


def _unwise(flags: Flags, backend: str, before: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what the server accepts to its user's harm."""
    mode = f"audit-{backend}-mode"
    if flags.value(mode) == STRICT:
        text = "with blocking-strict a full disk or a dead receiver makes every request fail, /livez too"
        is_new = before.get(mode) != STRICT
        yield (_error if is_new else _warning)(STRICT, mode, text, "write blocking, or use --allow blocking-strict")
    elif backend == "webhook" and flags.value(mode) == "blocking":
        text = "with blocking every request waits for the receiver, and without it the server does not start"
        is_new = before.get(mode) != "blocking"
        yield (_error if is_new else _warning)(
            "webhook-blocking", mode, text, "write batch, or use --allow webhook-blocking"
        )
    if flags.value(mode) == BATCH:
        yield from _batching(flags, backend)
    else:
        useless = [name for name in flags.given if name.startswith(f"audit-{backend}-batch-") and "backoff" not in name]
        if useless:
            text = f"means nothing while --{mode} is {flags.value(mode)}"
            yield _warning("flag-unused", useless[0], text, f"unset it, or write --{mode}=batch")
    event = f"audit-{backend}-truncate-max-event-size"
    if event in flags.given and not flags.on(f"audit-{backend}-truncate-enabled"):
        text = "means nothing while truncation is off"
        yield _warning("flag-unused", event, text, f"write --audit-{backend}-truncate-enabled=true, or unset it")


def _batching(flags: Flags, backend: str) -> Iterator[Finding]:
    size, wait = f"audit-{backend}-batch-max-size", f"audit-{backend}-batch-max-wait"
    if flags.number(size) > 1 and _seconds(flags.value(wait)) <= 0:
        text = f"is above 1 and --{wait} is {flags.value(wait)}: that burns one core"
        yield _warning("batch-without-wait", size, text, f"write --{wait}=1s")
    buffer = f"audit-{backend}-batch-buffer-size"
    if flags.number(buffer) < flags.number(size):
        text = f"is below --{size} ({flags.value(size)}): no batch ever fills, and bursts are dropped"
        yield _warning("batch-buffer", buffer, text, "write 10000")


def _idle(flags: Flags, backend: str, path: str) -> Iterator[Finding]:
    """Yield the flags of a backend that is not configured."""
    idle = [name for name in flags.given if name.startswith(f"audit-{backend}-") and name != path]
    if idle:
        yield _warning("flag-unused", idle[0], f"means nothing without --{path}", "unset it")


def _seconds(text: str) -> float:
    """Return the seconds of a Go duration; a sign may stand before it."""
    seconds = parse(text.lstrip("+-"))
    return -seconds if text.startswith("-") else seconds


def _text(version: Version) -> str:
    return f"{version[0]}.{version[1]}"


def _error(check: str, name: str, text: str, fix: str) -> Finding:
    return Finding.error(check, f"--{name}: {text}", fix, path=f"--{name}")


def _warning(check: str, name: str, text: str, fix: str) -> Finding:
    return Finding.warning(check, f"--{name}: {text}", fix, path=f"--{name}")


_BOOLS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def same_value(name: str, one: str, other: str) -> bool:
    """Tell whether both are one value of the flag ``name`` (without dashes); a bad value equals only itself."""
    if one == other:
        return True
    flag = audit_flags().get(name)
    try:
        return flag is not None and _value(flag.type, one) == _value(flag.type, other)
    except (ValueError, KeyError):
        return False


def _value(kind: FlagType, text: str) -> object:
    match kind:
        case FlagType.BOOL:
            return _BOOLS[text]
        case FlagType.INT | FlagType.INT64:
            return _whole(text)
        case FlagType.FLOAT:
            return float(text)
        case FlagType.DURATION:
            return -parse(text[1:]) if text.startswith("-") else parse(text.removeprefix("+"))
        case FlagType.STRING:
            return normalised_path(text) if text.startswith("/") else text


def _whole(text: str) -> int:
    """Return a whole number as ``strconv.ParseInt`` with base 0 reads it: a leading zero means octal."""
    digits = text.lstrip("+-")
    octal = len(digits) > 1 and digits.startswith("0") and digits.isdecimal()
    number = int(digits, 8 if octal else 0)
    return -number if text.startswith("-") else number
