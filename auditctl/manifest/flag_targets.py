"""What the audit flags should be: explicit option, else the manifest's own value, else the default. Pure decision."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.facts import TABLE_BEGINS, AuditFlag, FlagType, Version, audit_flags
from auditctl.manifest.flags import normalised
from auditctl.manifest.paths import absolute, log_path
from auditctl.settings import (
    LOG_FLAG,
    LOG_PATH,
    MAXAGE_FLAG,
    MAXBACKUP_FLAG,
    MAXSIZE_FLAG,
    POLICY_FLAG,
    POLICY_PATH,
    ROTATION_DEFAULTS,
    STANDARD_OUTPUT,
    WEBHOOK_FLAG,
    WEBHOOK_PATH,
    Settings,
)

PATTERNS = {
    FlagType.STRING: r"[^\n\r\0]*",
    FlagType.INT: r"[-+]?[0-9]{1,18}",
    FlagType.INT64: r"[-+]?[0-9]{1,18}",
    FlagType.FLOAT: r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?",
    FlagType.BOOL: r"1|t|T|true|TRUE|True|0|f|F|false|FALSE|False",
    FlagType.DURATION: r"[-+]?(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h))+|[-+]?0",
}


class FlagTarget(NamedTuple):
    """The audit flags after the change, and why each that differs is so. A flag that is not in ``values`` goes out."""

    values: Mapping[str, str]
    reasons: Mapping[str, str] = MappingProxyType({})


def flag_target(current: Mapping[str, str], settings: Settings, version: Version | None) -> FlagTarget:
    """Return what the audit flags should be, from the manifest's (``current``) and what was asked for.

    Raises RefusedError for settings that contradict each other, cannot be, or would leave nothing to record with.
    """
    explicit = _explicit(settings, current)
    unset = {_known(name).name for name in settings.unset_flags}
    _refuse_contradictions(settings, explicit, unset)
    values = {name: value for name, value in current.items() if not _dropped(name, settings, unset)}
    reasons = dict.fromkeys(explicit, "requested")
    values |= explicit
    for name, value in _defaults(values, settings, unset, current).items():
        values[name] = value
        reasons[name] = "the default, where the manifest sets nothing"
    _refuse_nothing_to_record(values, settings)
    for name in explicit:
        _refuse_bad_value(_known(name), values[name], version)
    reasons |= {name: _reason_to_drop(name, unset) for name in current if name not in values}
    return FlagTarget(values, reasons)


def _explicit(settings: Settings, current: Mapping[str, str]) -> dict[str, str]:
    """Return every flag that an option names, with its value."""
    options: dict[str, str | int | None] = {
        POLICY_FLAG: settings.policy_path,
        LOG_FLAG: settings.log_path,
        MAXAGE_FLAG: settings.log_maxage_days,
        MAXBACKUP_FLAG: settings.log_maxbackup_files,
        MAXSIZE_FLAG: settings.log_maxsize_megabytes,
    }
    explicit = {name: str(value) for name, value in options.items() if value is not None}
    for name, value in settings.set_flags.items():
        flag = _known(name).name
        if explicit.get(flag, value) != value:
            raise RefusedError(f"--{flag} is given twice: {explicit[flag]!r} and {value!r}", check="settings")
        explicit[flag] = value
    if settings.webhook and WEBHOOK_FLAG not in explicit:
        explicit[WEBHOOK_FLAG] = current.get(WEBHOOK_FLAG) or WEBHOOK_PATH
    return {name: _path(name, value, current) for name, value in explicit.items()}


def _path(name: str, value: str, current: Mapping[str, str]) -> str:
    """Return the value of a path flag normalised; other values, and one that the manifest has already, as they are."""
    if value == current.get(name) or name not in {POLICY_FLAG, WEBHOOK_FLAG, LOG_FLAG}:
        return value
    return log_path(value, name) if name == LOG_FLAG else absolute(value, name)


def _known(name: str) -> AuditFlag:
    """Return the flag called ``name``. Raises RefusedError, with what was perhaps meant, for one that is not there."""
    plain = normalised(name)
    flag = audit_flags().get(plain)
    if flag is None:
        near = get_close_matches(plain, audit_flags(), n=1)
        fix = f"did you mean --{near[0]}?" if near else "`auditctl flags` lists them all"
        raise RefusedError(f"--{plain} is not an audit flag of kube-apiserver", check="unknown-flag", fix=fix)
    return flag


def _refuse_contradictions(settings: Settings, explicit: Mapping[str, str], unset: set[str]) -> None:
    for name in explicit:
        if name in unset:
            raise RefusedError(f"--{name} is both set and unset", check="settings")
        if settings.log is False and name.startswith("audit-log-"):
            raise RefusedError(f"--{name} cannot be combined with --no-log", check="settings")
        if settings.webhook is False and name.startswith("audit-webhook-"):
            raise RefusedError(f"--{name} cannot be combined with --no-webhook", check="settings")
    if POLICY_FLAG in unset or explicit.get(POLICY_FLAG) == "":
        raise RefusedError("without a policy nothing is recorded", check="settings", fix="use `auditctl disable`")
    paths = [value for name, value in explicit.items() if name in {POLICY_FLAG, LOG_FLAG, WEBHOOK_FLAG}]
    if len(set(paths)) < len(paths):
        raise RefusedError(f"two audit files cannot have one path: {min(paths)}", check="settings")


def _dropped(name: str, settings: Settings, unset: set[str]) -> bool:
    without_log = settings.log is False and name.startswith("audit-log-")
    without_webhook = settings.webhook is False and name.startswith("audit-webhook-")
    return name in unset or without_log or without_webhook


def _reason_to_drop(name: str, unset: set[str]) -> str:
    if name in unset:
        return "--unset"
    return "--no-log" if name.startswith("audit-log-") else "--no-webhook"


def _defaults(
    values: Mapping[str, str], settings: Settings, unset: set[str], current: Mapping[str, str]
) -> dict[str, str]:
    """Return what is filled in: a policy; a log where nothing records; the rotation of a log that was not there before.

    A log that is written already keeps its rotation: a limit that nobody asked for would delete its rotated files.
    """
    filled: dict[str, str] = {}
    if not values.get(POLICY_FLAG):
        filled[POLICY_FLAG] = POLICY_PATH
    keeps_webhook = bool(current.get(WEBHOOK_FLAG)) and bool(values.get(WEBHOOK_FLAG))
    wants_log = settings.log or (settings.log is None and not keeps_webhook and LOG_FLAG not in unset)
    if wants_log and not values.get(LOG_FLAG):
        filled[LOG_FLAG] = LOG_PATH
    path = filled.get(LOG_FLAG) or values.get(LOG_FLAG)
    had_log = current.get(LOG_FLAG) not in (None, "", STANDARD_OUTPUT)
    if path and path != STANDARD_OUTPUT and not had_log:
        filled |= {name: value for name, value in ROTATION_DEFAULTS.items() if name not in values and name not in unset}
    return filled


def _refuse_nothing_to_record(values: Mapping[str, str], settings: Settings) -> None:
    if not values.get(LOG_FLAG) and not values.get(WEBHOOK_FLAG):
        setting = "no log" if settings.log is False else "the log path unset"
        raise RefusedError(
            f"with {setting} and without a webhook nothing would be recorded",
            check="no-backend",
            fix="add --webhook-config FILE, or use `auditctl disable`",
        )


def _refuse_bad_value(flag: AuditFlag, value: str, version: Version | None) -> None:
    """Refuse what the server's own parser would (an immediate crash loop); its deeper checks are not made here."""
    if version is not None and version < flag.since != TABLE_BEGINS:
        known = f"{flag.since[0]}.{flag.since[1]}"
        raise RefusedError(
            f"--{flag.name} came with {known}; this server is {version[0]}.{version[1]} and would not start",
            check="flag-version",
        )
    negative = flag.name in ROTATION_DEFAULTS and value.startswith("-")
    if negative or not re.fullmatch(PATTERNS[flag.type], value):
        raise RefusedError(
            f"--{flag.name}: {value!r} is not {flag.type.in_words}"
            + (" (0 or more)" if flag.name in ROTATION_DEFAULTS else ""),
            check="flag-value",
        )
