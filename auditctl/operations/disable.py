"""``disable``: from the manifest alone. Manifest first, wait, then files: the other order crashes at the next restart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import RefusedError, UsageError
from auditctl.findings import Check, Finding, Severity, Status
from auditctl.manifest.plan import plan_disable
from auditctl.manifest.pod import Manifest
from auditctl.node import files, preflight
from auditctl.node.backup import saved_bytes
from auditctl.node.fileedit import FileEdit
from auditctl.node.journal import Role
from auditctl.node.logfiles import log_files
from auditctl.node.process import Process, listener
from auditctl.operations import checks
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.outcome import changed_flags, dry_run_report, performed_report, unchanged_report
from auditctl.operations.persistence import recording
from auditctl.operations.policies import weigh
from auditctl.operations.work import How, Patience, Proof, Restart, Work, nothing_more
from auditctl.report import Outcome, Report
from auditctl.settings import LOG_FLAG, POLICY_FLAG, WEBHOOK_FLAG


class Purge(NamedTuple):
    """Which files go too. Logs are evidence: they go only with ``--purge-logs --yes``."""

    files: bool = False
    logs: bool = False
    confirmed: bool = False


def disable(plane: ControlPlane, purge: Purge, how: How) -> Report:
    """Take auditing out.

    Raises:
        UsageError: ``--purge-logs`` without ``--yes`` or with ``--no-wait``; RefusedError: nothing was changed.
    """
    if purge.logs and not purge.confirmed and not how.dry_run:
        raise UsageError("--purge-logs removes the audit trail for good", check="confirmation", fix="say --yes as well")
    if purge.logs and not how.wait:
        raise UsageError("--purge-logs needs a server that no longer writes them, so it does not go with --no-wait")
    if how.dry_run:
        checks.check_places(plane)
        work, logs, found = _decide(plane, purge, how)
        nothing = not work.plan.changes and not work.edits and not logs
        report = dry_run_report(plane, work, found, nothing=nothing)
        report = report._replace(lines=(*report.lines, *(f"would remove {path}" for path in logs)))
        return recording(plane, work.after, how)(report)
    from auditctl.operations.session import session

    with session(plane, "disable") as opened:
        work, logs, found = _decide(plane, purge, how)
        record = recording(plane, work.after, how)
        if not work.plan.changes and not work.edits and not logs:
            return record(unchanged_report(plane, work, opened.recovered, How(wait=False)))
        from auditctl.operations.perform import perform

        performed = perform(opened, work, how)
        removed = _clear_away(plane, logs, purge) if performed.outcome is Outcome.CHANGED else ()
        return record(performed_report(plane, work, (*opened.recovered, *found, *removed), performed))


def _decide(plane: ControlPlane, purge: Purge, how: How) -> tuple[Work, tuple[Path, ...], tuple[Finding, ...]]:
    """The work, the log files that go after it, and what was found beforehand."""
    snapshot, before = plane.read_manifest()
    plan = plan_disable(before)
    after = plan.target or before
    audited = before if before.audit_flags else _last_audited(plane) or before
    edits = tuple(_removals(plane, audited)) if purge.files else ()
    log = preflight.host_of(plane.root, audited, LOG_FLAG)
    logs = tuple(sorted(log_files(log))) if purge.logs and log is not None else ()
    found: tuple[Finding, ...] = ()
    if plan.changes:
        process = listener(before.secure_port, before) if checks.is_live(plane, how) else None
        found = weigh((*plan.findings, *checks.before_edit(plane, before, after, (), process, how)), how)
    work = Work(
        "disable",
        ", ".join(changed_flags(before, after)) or "remove files",
        snapshot,
        before,
        after,
        plan,
        edits,
        restart=Restart.REPLACE_POD if plan.changes else Restart.NONE,
        prove=_no_audit_flags if plan.changes else nothing_more,
        afterwards=tuple(_afterwards(purge, how)),
    )
    return work, logs, found


def _afterwards(purge: Purge, how: How) -> Iterator[str]:
    if purge.logs:
        yield "auditctl disable --purge-logs --yes"
    if how.persist:
        yield "auditctl disable --persist"


def _last_audited(plane: ControlPlane) -> Manifest | None:
    """Where auditing is off already: the manifest that our own last `disable` took it out of names the files."""
    for journal in reversed(plane.state.journals()):
        if journal.command == "disable" and journal.manifest.before != journal.manifest.after:
            with suppress(RefusedError):
                return plane.parse(saved_bytes(plane.state, journal, journal.manifest, "before"))
    return None


def _removals(plane: ControlPlane, manifest: Manifest) -> Iterator[FileEdit]:
    """Policy and webhook file, where the manifest names them."""
    for role, flag in ((Role.POLICY, POLICY_FLAG), (Role.WEBHOOK, WEBHOOK_FLAG)):
        host = preflight.host_of(plane.root, manifest, flag)
        there = files.read_if_there(host, role.value) if host is not None else None
        if host is not None and there is not None:
            yield FileEdit(role, host, there, None, removed_last=True)


def _no_audit_flags(process: Process, patience: Patience) -> Proof:  # noqa: ARG001 (the shape of a proof)
    left = [flag for flag in process.flags if flag.replace("_", "-").startswith("--audit-")]
    if left:
        return Proof((Check("auditing-off", Status.FAILED, f"process {process.pid} still has {left[0]}"),))
    return Proof((Check("auditing-off", Status.PASSED, f"process {process.pid} has no audit flag"),))


def _clear_away(plane: ControlPlane, logs: tuple[Path, ...], purge: Purge) -> tuple[Finding, ...]:
    """Logs where asked, and directories that earlier changes of ours made and that are empty now; say what went."""
    told = []
    for path in logs:
        try:
            files.remove(path)
            told.append(Finding("removed", Severity.INFO, f"removed {path}"))
        except OSError as error:
            text = f"{path}: cannot be removed: {(error.strerror or str(error)).lower()}"
            told.append(Finding("not-removed", Severity.WARNING, text, "remove it by hand"))
    if purge.files or purge.logs:
        made = {path for journal in plane.state.journals() for path in journal.made_directories}
        for directory in sorted(made, key=len, reverse=True):
            with suppress(OSError):  # not empty, or gone
                plane.root.host(directory).rmdir()
    return tuple(told)
