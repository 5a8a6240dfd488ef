"""Build the Report of a changing command, and the plan that is shown before a change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import unified_diff
from typing import TYPE_CHECKING, Any

from auditctl.errors import InterruptionError
from auditctl.findings import Check, Finding, Settled, Severity, Status, Verification
from auditctl.manifest.plan import Plan
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.process import listener
from auditctl.node.change import files
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.files import Snapshot, sha256
from auditctl.node.change.journal import Role
from auditctl.node.preflight import node_checks
from auditctl.node.preflight.node_checks import HostPaths
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
from auditctl.operations.evidence import last_known_good
from auditctl.operations.level_changes import RequestChange, request_changes
from auditctl.operations.level_changes import lines as lines_of_requests
from auditctl.report import ManifestChange, Outcome, Report, finding_line
from auditctl.settings import LOG_FLAG, POLICY_FLAG, WEBHOOK_FLAG

if TYPE_CHECKING:
    from auditctl.node.apiserver.client import Endpoint
    from auditctl.node.kubelet.restart import Restarted

_OUTAGE = {
    Restart.REPLACE_POD: "expected outage: 5 to 45 s on a node with one control plane, while the kubelet replaces the Pod",
    Restart.IN_PLACE: "expected outage: 4 to 15 s, while the kubelet restarts the container",
    Restart.NONE: "no restart, no outage",
}
_NO_OUTAGE = "expected outage: none for new connections: a standby server serves while the API server restarts"

_UPGRADE = "kubeadm upgrade writes the manifest anew from the ConfigMap kubeadm-config"


def dry_run_report(plane: ControlPlane, decision: ChangeDecision) -> Report:
    """Return the report of what would be done; nothing was touched."""
    planned, nothing = decision.planned, decision.nothing
    requests = request_changes(decision.policies)
    return Report(
        command=planned.command,
        outcome=Outcome.UNCHANGED,
        summary="Dry run: no change needed"
        if nothing
        else "Dry run, nothing changed. Run again without --dry-run to apply",
        manifest=_manifest_change(plane, planned, nothing=nothing),
        findings=decision.findings,
        settings=_settled(plane, planned.after, planned.paths),
        lines=tuple(_effects(plane, decision, requests)),
        show_diff=True,
        details={"requests": [change._asdict() for change in requests]} if requests else {},
    )


def plan_lines(plane: ControlPlane, decision: ChangeDecision) -> tuple[str, ...]:
    """Return the plan of a change as a person reads it before it is performed."""
    plan = decision.planned.plan
    diff = plan.diff(str(plane.manifest_path)).splitlines() if plan.changes else ()
    warnings = (finding_line(finding) for finding in decision.findings if finding.severity is not Severity.INFO)
    return (*diff, *warnings, *_effects(plane, decision, request_changes(decision.policies)))


def _effects(plane: ControlPlane, decision: ChangeDecision, requests: tuple[RequestChange, ...]) -> Iterator[str]:
    """Yield the effects beside the manifest: files, requests that change level, the expected outage."""
    planned = decision.planned
    for edit in planned.edits:
        if edit.role is Role.POLICY and edit.after is not None:
            yield from _diff(edit, plane.root.node(edit.path)).splitlines()
    yield from lines_of_requests(decision.policies, requests)
    for edit in planned.edits:
        verb = "install" if edit.after is not None else "remove"
        kept = "; no copy of it is kept" if edit.role is Role.WEBHOOK and edit.after is None else ""
        yield f"would {verb} {edit.path} ({edit.role.value}{kept})"
    yield from decision.notes
    yield _NO_OUTAGE if decision.standby else _OUTAGE[planned.restart]


def performed_report(
    plane: ControlPlane, planned: PlannedChange, findings: tuple[Finding, ...], result: ChangeResult
) -> Report:
    """Return the report of a change that was performed, with how it ended."""
    changed = result.outcome is Outcome.CHANGED or result.outcome is Outcome.STRANDED
    return Report(
        command=planned.command,
        outcome=result.outcome,
        summary=result.failure or _success(planned, result),
        manifest=_manifest_change(plane, planned, nothing=False),
        changed=changed,
        settings=_settled(plane, planned.after, planned.paths) if changed else settled(plane, planned.before),
        findings=(*findings, *result.findings),
        verification=Verification(result.checks),
        receipt=result.receipt,
        timings=result.timings,
        standby=result.standby,
        change=result.change,
        next_steps=result.next_steps or _next_steps(planned, result),
    )


def unchanged_report(
    plane: ControlPlane,
    planned: PlannedChange,
    findings: tuple[Finding, ...],
    options: ChangeOptions,
    deadline: Deadline,
) -> Report:
    """Return the report where there is nothing to do, with the proof that could be taken all the same.

    Raises:
        InterruptionError: the user asked to stop; nothing was changed.
    """
    proof = Proof()
    if options.wait and planned.prove is not nothing_more:
        process = listener(planned.after.secure_port, planned.after)
        proof = Proof((Check("receipt", Status.UNKNOWN, "no API server to ask"),))
        if process is not None:
            patience = deadline._replace(deadline=plane.clock.monotonic() + options.timeout_seconds)
            try:
                proof = planned.prove(process, patience)
            except InterruptionError as error:
                raise InterruptionError(f"{error.message}; nothing was changed") from error
        if Verification(proof.checks).holds:
            last_known_good.keep(plane, planned.after, process)
    verification = Verification(proof.checks)
    return Report(
        command=planned.command,
        outcome=Outcome.NEGATIVE if verification.holds is False else Outcome.UNCHANGED,
        summary=f"No change needed: {_state_of_unchanged(planned, verification)}",
        manifest=_manifest_change(plane, planned, nothing=True),
        settings=_settled(plane, planned.after, planned.paths),
        findings=findings,
        verification=verification,
        receipt=proof.receipt,
        next_steps=("auditctl doctor",) if verification.holds is False else (),
    )


def _state_of_unchanged(planned: PlannedChange, verification: Verification) -> str:
    if planned.command == "disable":
        return "auditing is off already"
    state = "auditing is already set up like this"
    if verification.holds is None:
        return f"{state} (not proved)"
    if verification.holds:
        return f"{state}, and a test request was recorded"
    failed = "; ".join(check.detail for check in verification.checks if check.status is Status.FAILED)
    return f"{state}. But the proof failed: {failed}"


def _ready_check(result: Restarted, endpoint: Endpoint) -> Check:
    when = f"{result.seconds:.1f} s after the change (outage {result.outage:.1f} s)"
    if result.failing:  # not ours: these failed before the change already
        return Check("ready", Status.UNKNOWN, f"/readyz fails on {', '.join(result.failing)} as before, {when}")
    return Check("ready", Status.PASSED, f"{endpoint}/readyz answers 200, {when}")


def restart_checks(result: Restarted, endpoint: Endpoint) -> tuple[Check, ...]:
    """Return the checks that a successful wait has passed."""
    text = f"process {result.process.pid} was started after the change, with the manifest's command line"
    return Check("restarted", Status.PASSED, text), _ready_check(result, endpoint)


def manifest_change(plane: ControlPlane, snapshot: Snapshot, plan: Plan) -> ManifestChange:
    """Return the manifest's part of a report."""
    after = plan.after.encode() if plan.changes else snapshot.content
    return ManifestChange(
        path=str(plane.manifest_path),
        before=snapshot.sha256,
        after=sha256(after),
        diff=plan.diff(str(plane.manifest_path)) if plan.changes else "",
        patch=tuple(plan.patch),
        reasons=tuple(edit.reason for edit in plan.edits),
    )


def _manifest_change(plane: ControlPlane, planned: PlannedChange, *, nothing: bool) -> ManifestChange:
    change = manifest_change(plane, planned.snapshot, planned.plan)
    return replace(change, plan=plan_row(plane, planned, nothing=nothing))


def changed_flags(before: Manifest, after: Manifest) -> tuple[str, ...]:
    """Return the audit flags that differ, one word each, for the history."""
    flags_before, flags_after = before.audit_flags, after.audit_flags
    changed = [f"--{name}={value}" for name, value in sorted(flags_after.items()) if flags_before.get(name) != value]
    return (*changed, *(f"without --{name}" for name in sorted(flags_before) if name not in flags_after))


def settled(plane: ControlPlane, manifest: Manifest) -> Settled:
    """Return what a manifest sets, and where its audit files are."""
    return _settled(plane, manifest, node_checks.host_paths(plane.root, manifest))


def _settled(plane: ControlPlane, manifest: Manifest, paths: HostPaths) -> Settled:
    return Settled(
        dict(sorted(manifest.audit_flags.items())),
        _file_row(plane, manifest, paths, POLICY_FLAG),
        _file_row(plane, manifest, paths, LOG_FLAG),
        _file_row(plane, manifest, paths, WEBHOOK_FLAG),
    )


def _file_row(plane: ControlPlane, manifest: Manifest, paths: HostPaths, flag: str) -> dict[str, str | None] | None:
    container, host = manifest.flag(flag), paths.of_flag(flag)
    if not container:
        return None
    row: dict[str, str | None] = {
        "hostPath": plane.root.node(host) if host is not None else None,
        "containerPath": container,
    }
    if flag == POLICY_FLAG:
        row["sha256"] = files.digest(host) if host is not None else None
    return row


def _success(planned: PlannedChange, result: ChangeResult) -> str:
    receipt = result.receipt
    verb = {"enable": "auditing is on", "disable": "auditing is off", "restart": "restarted"}.get(
        planned.command, "done"
    )
    if receipt is not None:
        same = "; this request does not tell the new policy from the old one" if receipt.distinguishes is False else ""
        by = f"rules[{receipt.rule}]" if receipt.rule >= 0 else "no rule"
        return f"{verb}, and proved: {by} recorded {receipt.request} at {receipt.level}, line {receipt.line} of {receipt.file}{same}"
    if not result.proved:
        unknown = [check.detail for check in result.checks if check.status is Status.UNKNOWN]
        return f"{verb}, not proved: {'; '.join(unknown) or 'nothing was asked'}"
    return f"{verb}, and the API server is ready"


def _next_steps(planned: PlannedChange, result: ChangeResult) -> tuple[str, ...]:
    if result.outcome is not Outcome.CHANGED or planned.command not in ("enable", "disable"):
        return ()
    if planned.command == "disable":
        return (f"auditctl kubeadm persist  # if it was done before: {_UPGRADE}, and auditing would come back",)
    look = ("auditctl log tail -f",) if planned.paths.log is not None else ()
    if planned.before.audit_flags == planned.after.audit_flags:
        return look  # what kubeadm-config holds of them is as right or wrong as before
    return (*look, f"auditctl kubeadm persist  # {_UPGRADE}: without it these settings would be lost")


_RESTARTS: Mapping[Restart, str | None] = {
    Restart.REPLACE_POD: "ReplacePod",
    Restart.IN_PLACE: "RestartContainer",
    Restart.NONE: None,
}


def plan_row(plane: ControlPlane, planned: PlannedChange, *, nothing: bool) -> dict[str, Any]:
    """Return the report's ``manifest.plan``: ``changes``, ``restart`` (None: none is needed), ``files``.

    A row of ``files`` has ``path`` (a node path), ``role``, ``change`` (install, replace, remove) and ``diff``: a unified
    diff of a policy's text, None for any other file, for a webhook's holds secrets.
    """
    rows = [
        {
            "path": plane.root.node(edit.path),
            "role": edit.role.value,
            "change": _change(edit),
            "diff": _diff(edit, plane.root.node(edit.path)) if edit.role is Role.POLICY else None,
        }
        for edit in planned.edits
    ]
    return {"changes": not nothing, "restart": None if nothing else _RESTARTS[planned.restart], "files": rows}


def _change(edit: FileEdit) -> str:
    if edit.after is None:
        return "remove"
    return "install" if edit.before is None else "replace"


def _diff(edit: FileEdit, name: str) -> str:
    lines_before = _lines(edit.before.content if edit.before is not None else b"")
    lines_after = _lines(edit.after or b"")
    heads = ("/dev/null" if edit.before is None else f"a{name}", "/dev/null" if edit.after is None else f"b{name}")
    lines = unified_diff(lines_before, lines_after, *heads)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(raw: bytes) -> list[str]:
    """Split at line feeds only, as the diff of the manifest does."""
    return [line for line in re.split("(?<=\n)", raw.decode(errors="replace")) if line]
