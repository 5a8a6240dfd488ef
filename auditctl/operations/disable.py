"""``disable``: from the manifest alone. Manifest first, wait, then files: the other order crashes at the next restart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from auditctl.errors import UsageError
from auditctl.findings import Check, Status
from auditctl.manifest.plan import plan_disable
from auditctl.manifest.pod import Manifest
from auditctl.node import files, preflight
from auditctl.node.fileedit import FileEdit
from auditctl.node.journal import Role
from auditctl.node.logfiles import log_files
from auditctl.node.process import Process, listener
from auditctl.operations import checks
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.outcome import changed_flags, dry_run_report, performed_report, unchanged_report
from auditctl.operations.policies import weigh
from auditctl.operations.work import How, Proof, Restart, Work, nothing_more
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
        UsageError: ``--purge-logs`` without ``--yes``; RefusedError: nothing was changed.
    """
    if purge.logs and not purge.confirmed:
        raise UsageError("--purge-logs removes the audit trail for good", check="confirmation", fix="say --yes as well")
    if how.dry_run:
        checks.check_places(plane)
        work = _decide(plane, purge, how)
        return dry_run_report(plane, work, (), nothing=not work.plan.changes and not work.edits)
    from auditctl.operations.session import session

    with session(plane, "disable") as opened:
        work = _decide(plane, purge, how)
        if not work.plan.changes and not work.edits:
            return unchanged_report(plane, work, opened.recovered, How(wait=False))
        from auditctl.operations.perform import perform

        performed = perform(opened, work, how)
        if performed.outcome is Outcome.CHANGED and how.wait:
            _clear_away(plane, work.before, purge)
        return performed_report(plane, work, opened.recovered, performed)


def _decide(plane: ControlPlane, purge: Purge, how: How) -> Work:
    snapshot, before = plane.read_manifest()
    plan = plan_disable(before)
    after = plan.target or before
    edits = tuple(_removals(plane, before)) if purge.files else ()
    if plan.changes:
        process = listener(before.secure_port) if checks.is_live(plane, how) else None
        weigh((*plan.findings, *checks.before_edit(plane, before, after, (), process, how)), how)
    return Work(
        "disable",
        ", ".join(changed_flags(before, after)) or "remove files",
        snapshot,
        before,
        after,
        plan,
        edits,
        restart=Restart.REPLACE_POD if plan.changes else Restart.NONE,
        prove=_no_audit_flags if plan.changes else nothing_more,
    )


def _removals(plane: ControlPlane, manifest: Manifest) -> Iterator[FileEdit]:
    """Policy and webhook file, where the manifest names them."""
    for role, flag in ((Role.POLICY, POLICY_FLAG), (Role.WEBHOOK, WEBHOOK_FLAG)):
        host = preflight.host_of(plane.root, manifest, flag)
        there = files.read_if_there(host, role.value) if host is not None else None
        if host is not None and there is not None:
            yield FileEdit(role, host, there, None, removed_last=True)


def _no_audit_flags(process: Process) -> Proof:
    left = [flag for flag in process.flags if flag.replace("_", "-").startswith("--audit-")]
    if left:
        return Proof((Check("auditing-off", Status.FAILED, f"process {process.pid} still has {left[0]}"),))
    return Proof((Check("auditing-off", Status.PASSED, f"process {process.pid} has no audit flag"),))


def _clear_away(plane: ControlPlane, before: Manifest, purge: Purge) -> None:
    """Logs where asked, and directories that earlier changes of ours made and that are empty now."""
    log = preflight.host_of(plane.root, before, LOG_FLAG)
    if purge.logs and log is not None:
        for path in log_files(log):
            files.remove(path)
    if purge.files or purge.logs:
        made = {path for journal in plane.state.journals() for path in journal.made_directories}
        for directory in sorted(made, key=len, reverse=True):
            with suppress(OSError):  # not empty, or gone
                plane.root.host(directory).rmdir()
