"""``flags``: every ``--audit-*`` flag of a version, and what is wrong with those that a manifest sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from textwrap import wrap
from typing import Any

from auditctl.errors import UsageError
from auditctl.facts import AuditFlag, audit_flags
from auditctl.findings import Finding
from auditctl.manifest.flag_values import Version, complaints, is_known
from auditctl.manifest.pod import Manifest
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy_files import server_version, unknown_version, words
from auditctl.settings import LOG_FLAG, STANDARD_OUTPUT, WEBHOOK_FLAG

_WIDTH = 96
_RETENTION = ("maxage", "maxbackup", "maxsize")
_BATCH = ("batch-max-size", "batch-max-wait")


def findings(after: Manifest, version: Version, before: Manifest | None = None) -> Iterator[Finding]:
    """Yield what is wrong with the audit flags of ``after`` on a server of that version, each at its line."""
    for finding in complaints(after.audit_flags, version, before.audit_flags if before is not None else None):
        flag = next((one for one in after.flag_list if f"--{one.name}" == finding.path), None)
        place = after.document.place(flag.item.path) if flag is not None else None
        yield replace(finding, path="", line=place.line if place else 0, column=place.column if place else 0)


def effective(manifest: Manifest, version: Version) -> dict[str, dict[str, str | bool]]:
    """Return each audit flag that matters to a backend that is on, or that is set: ``{"value", "set"}`` by name."""
    given = manifest.audit_flags
    backends = {"audit-log-": LOG_FLAG, "audit-webhook-": WEBHOOK_FLAG}
    on = tuple(prefix for prefix, path in backends.items() if given.get(path))
    return {
        flag.name: {"value": given.get(flag.name, flag.default((*version, 0))), "set": flag.name in given}
        for flag in audit_flags().values()
        if flag.name in given or (is_known(flag, version) and flag.name.startswith(on))
    }


def not_set(effective: Mapping[str, Mapping[str, str | bool]]) -> str:
    """Return the defaults worth a look in one line: mode, retention, and what shapes a batch where there is one."""
    names = []
    for backend, others in (("log", _RETENTION), ("webhook", ())):
        mode = effective.get(f"audit-{backend}-mode")
        if mode is not None:
            batch = _BATCH if mode["value"] == "batch" else ()
            names += [f"audit-{backend}-{name}" for name in ("mode", *others, *batch)]
    if effective.get(LOG_FLAG, {}).get("value") == STANDARD_OUTPUT:
        names = [name for name in names if name.removeprefix("audit-log-") not in _RETENTION]
    return ", ".join(f"--{name}={effective[name]['value']}" for name in names if not effective[name]["set"])


def table(plane: ControlPlane, kubernetes: str | None, name: str | None = None) -> CommandResult:
    """Return the flags of that version (None: the node's, else the newest known), or one of them.

    Raises:
        UsageError: no such flag, or no version.
    """
    version = server_version(plane, kubernetes)
    known = {flag.name: flag for flag in audit_flags().values() if is_known(flag, version)}
    if name is not None:
        plain = name.lstrip("-").replace("_", "-")
        if plain not in known:
            near = [flag for flag in known if plain.removeprefix("audit-") in flag]
            raise UsageError(
                f"{words(version)} has no flag --{plain}",
                fix=f"did you mean --{near[0]}?" if near else "`auditctl flags` lists them all",
            )
        known = {plain: known[plain]}
    rows = [_row(flag, version) for flag in known.values()]
    lines = tuple(line for flag in known.values() for line in _lines(flag, version))
    guess = unknown_version(version)
    document = {"kubernetes": f"{version[0]}.{version[1]}", "known": not guess, "flags": rows}
    return CommandResult(document=document, lines=lines, notes=(*guess, f"the audit flags of {words(version)}"))


def _row(flag: AuditFlag, version: Version) -> dict[str, Any]:
    return {
        "name": f"--{flag.name}",
        "type": flag.type.value,
        "unit": flag.unit,
        "default": flag.default((*version, 0)),
        "since": f"{flag.since[0]}.{flag.since[1]}",
        "meaning": flag.meaning,
        "trap": flag.trap,
    }


def _lines(flag: AuditFlag, version: Version) -> Iterator[str]:
    unit = f" {flag.unit}" if flag.unit else ""
    default = flag.default((*version, 0))
    yield f"--{flag.name}  ({flag.type.value}{unit}; default {default or 'none'})"
    yield from wrap(flag.meaning, _WIDTH, initial_indent="    ", subsequent_indent="    ")
    yield from wrap(f"trap: {flag.trap}", _WIDTH, initial_indent="    ", subsequent_indent="          ")
