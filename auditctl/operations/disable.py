"""``disable``: take auditing out, from the manifest alone.

Manifest first, wait, then files: a server that restarted in between would die of a missing policy file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import RefusedError, UsageError
from auditctl.findings import Check, Finding, Status
from auditctl.manifest.plan import plan_disable
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.process import Process, server_on
from auditctl.node.change import files
from auditctl.node.change.backup import saved_bytes
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.journal import Role, standing_changes
from auditctl.node.logfiles import log_files
from auditctl.node.preflight import node_checks
from auditctl.node.preflight.node_checks import HostPaths
from auditctl.operations.change import preflight
from auditctl.operations.change.engine import run_change
from auditctl.operations.change.preflight import EditSubject
from auditctl.operations.change.report import changed_flags
from auditctl.operations.change_model import (
    ChangeDecision,
    ChangeOptions,
    ChangeResult,
    Deadline,
    PlannedChange,
    Proof,
    Restart,
    nothing_more,
)
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy_source import apply_allowances
from auditctl.report import Outcome, Report


class Purge(NamedTuple):
    """The files that are removed too. Logs are evidence: they go only with ``--purge-logs --yes``."""

    files: bool = False
    logs: bool = False
    confirmed: bool = False


def disable(plane: ControlPlane, purge: Purge, options: ChangeOptions) -> Report:
    """Take auditing out of the manifest; return the report.

    Raises:
        UsageError: ``--purge-logs`` without ``--yes`` or with ``--no-wait``.
        RefusedError: nothing was changed.
    """
    if purge.logs and not purge.confirmed and not options.dry_run:
        raise UsageError("--purge-logs removes the audit trail for good", check="confirmation", fix="use --yes as well")
    if purge.logs and not options.wait:
        raise UsageError("--purge-logs needs a server that no longer writes them, so it does not go with --no-wait")
    return run_change(plane, options, "disable", lambda _: _decide(plane, purge, options))


def _decide(plane: ControlPlane, purge: Purge, options: ChangeOptions) -> ChangeDecision:
    """Read the node and decide what goes: flags, mounts, files; nothing is touched.

    Raises:
        RefusedError: something is in the way.
    """
    snapshot, before = plane.read_manifest()
    plan = plan_disable(before)
    after = plan.target or before
    audited = before if before.audit_flags else _last_audited(plane) or before
    paths = node_checks.host_paths(plane.root, audited)
    logs = tuple(sorted(log_files(paths.log))) if purge.logs and paths.log is not None else ()
    planned = PlannedChange(
        command="disable",
        summary=", ".join(changed_flags(before, after)) or "remove files",
        snapshot=snapshot,
        before=before,
        after=after,
        plan=plan,
        paths=node_checks.host_paths(plane.root, after),
        edits=tuple(_removals(plane, paths)) if purge.files else (),
        restart=Restart.REPLACE_POD if plan.changes else Restart.NONE,
        prove=_no_audit_flags if plan.changes else nothing_more,
        afterwards=tuple(_afterwards(purge, options)),
    )
    findings = apply_allowances(_findings(plane, planned, options), options)

    def finish(result: ChangeResult) -> ChangeResult:
        if result.outcome is not Outcome.CHANGED:
            return result
        return replace(result, findings=(*_clear_away(plane, logs, purge), *result.findings))

    nothing = not plan.changes and not planned.edits and not logs
    notes = tuple(f"would remove {path}" for path in logs)
    return ChangeDecision(planned=planned, findings=findings, nothing=nothing, finish=finish, notes=notes)


def _findings(plane: ControlPlane, planned: PlannedChange, options: ChangeOptions) -> Iterator[Finding]:
    """Yield what speaks against a change of the manifest."""
    if planned.plan.changes:
        process = (
            server_on(plane.root, planned.before.secure_port, planned.before)
            if preflight.is_live(plane, planned.before, options)
            else None
        )
        yield from planned.plan.findings
        yield from preflight.before_edit(plane, EditSubject.of(planned), process, options)


def _afterwards(purge: Purge, options: ChangeOptions) -> Iterator[str]:
    if purge.logs:
        yield "auditctl disable --purge-logs --yes"
    if options.persist:
        yield "auditctl disable --persist"


def _last_audited(plane: ControlPlane) -> Manifest | None:
    """Return the manifest before our own last `disable`: it names the files where auditing is off."""
    for journal in reversed(plane.state.journals()):
        if journal.command == "disable" and journal.manifest.before != journal.manifest.after:
            with suppress(RefusedError):
                return plane.parse(saved_bytes(plane.state, journal, journal.manifest, "before"))
    return None


def _removals(plane: ControlPlane, paths: HostPaths) -> Iterator[FileEdit]:
    """Yield the removal of policy and webhook file.

    A webhook file that an earlier change installed goes too where no manifest names it any more: it holds secrets.
    """
    named = ((Role.POLICY, paths.policy), (Role.WEBHOOK, paths.webhook))
    installed = ((Role.WEBHOOK, path) for path in _installed_webhooks(plane) if path != paths.webhook)
    for role, host in (*named, *installed):
        there = files.read_if_there(host, role.value) if host is not None else None
        if host is not None and there is not None:
            yield FileEdit(role=role, path=host, before=there, after=None, removed_last=True)


def _installed_webhooks(plane: ControlPlane) -> Iterator[Path]:
    """Yield the webhook files that ``enable`` has installed and nobody has changed since."""
    newest: dict[str, str | None] = {}
    for journal in standing_changes(plane.state.journals()):
        newest |= {record.path: record.after for record in journal.files if record.role is Role.WEBHOOK}
    for node_path, digest in newest.items():
        path = plane.root.host(node_path)
        if digest is not None and files.digest(path) == digest:
            yield path


def _no_audit_flags(process: Process, patience: Deadline) -> Proof:  # noqa: ARG001 (the shape of a proof)
    left = [flag for flag in process.flags if flag.replace("_", "-").startswith("--audit-")]
    if left:
        return Proof((Check("auditing-off", Status.FAILED, f"process {process.pid} still has {left[0]}"),))
    return Proof((Check("auditing-off", Status.PASSED, f"process {process.pid} has no audit flag"),))


def _clear_away(plane: ControlPlane, logs: tuple[Path, ...], purge: Purge) -> tuple[Finding, ...]:
    """Remove the logs, and empty directories that earlier changes of ours made; return what went."""
    findings = []
    for path in logs:
        try:
            files.remove(path)
            findings.append(Finding.note("removed", f"removed {path}"))
        except OSError as error:
            text = f"{path}: cannot be removed: {(error.strerror or str(error)).lower()}"
            findings.append(Finding.warning("not-removed", text, "remove it by hand"))
    if purge.files or purge.logs:
        made = {path for journal in plane.state.journals() for path in journal.made_directories}
        for directory in sorted(made, key=len, reverse=True):
            with suppress(OSError):  # not empty, or gone
                plane.root.host(directory).rmdir()
    return tuple(findings)
