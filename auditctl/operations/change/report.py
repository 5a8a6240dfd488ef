"""From what was done to what is said: the Report of a changing command."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from auditctl.errors import InterruptionError
from auditctl.findings import Check, Finding, Settled, Status, Verification
from auditctl.manifest.plan import Plan
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.process import listener
from auditctl.node.change import files
from auditctl.node.change.files import Snapshot, sha256
from auditctl.node.preflight import node_checks
from auditctl.operations.change.planned import planned
from auditctl.operations.change_model import ChangeOptions, ChangeResult, Deadline, PlannedChange, Proof, Restart
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence import last_known_good
from auditctl.report import ManifestChange, Outcome, Report
from auditctl.settings import LOG_FLAG, POLICY_FLAG, STANDARD_OUTPUT, WEBHOOK_FLAG

if TYPE_CHECKING:
    from auditctl.node.apiserver.client import Endpoint
    from auditctl.node.kubelet.restart import Restarted

_OUTAGE = {
    Restart.REPLACE_POD: "expected outage: 15 to 45 s on a node with one control plane, while the kubelet replaces the Pod",
    Restart.IN_PLACE: "expected outage: 4 to 15 s, while the kubelet restarts the container",
    Restart.NONE: "no restart, no outage",
}

_UPGRADE = "kubeadm upgrade writes the manifest anew from the ConfigMap kubeadm-config"


def dry_run_report(plane: ControlPlane, work: PlannedChange, findings: tuple[Finding, ...], *, nothing: bool) -> Report:
    """What would be done; nothing was touched."""
    lines = [f"would install {edit.path} ({edit.role.value})" for edit in work.edits if edit.after is not None]
    lines += [f"would remove {edit.path} ({edit.role.value})" for edit in work.edits if edit.after is None]
    lines.append(_OUTAGE[work.restart])
    summary = "dry run: nothing to do" if nothing else f"dry run: would {work.command}; nothing was touched"
    return Report(
        work.command,
        Outcome.UNCHANGED,
        summary,
        _manifest_change(plane, work, nothing=nothing),
        findings=findings,
        settings=settled(plane, work.after),
        lines=tuple(lines),
        show_diff=True,
    )


def performed_report(
    plane: ControlPlane, work: PlannedChange, findings: tuple[Finding, ...], performed: ChangeResult
) -> Report:
    """What was done, and how it ended."""
    changed = performed.outcome is Outcome.CHANGED or performed.outcome is Outcome.STRANDED
    after = work.after if changed else work.before
    next_steps = performed.next_steps or _next_steps(plane, work, performed)
    return Report(
        work.command,
        performed.outcome,
        performed.failure or _success(work, performed),
        _manifest_change(plane, work, nothing=False),
        changed=changed,
        settings=settled(plane, after),
        findings=(*findings, *performed.findings),
        verification=Verification(performed.checks),
        receipt=performed.receipt,
        timings=performed.timings,
        change=performed.change,
        next_steps=next_steps,
    )


def unchanged_report(
    plane: ControlPlane,
    work: PlannedChange,
    findings: tuple[Finding, ...],
    how: ChangeOptions,
    interrupted: Callable[[], bool] = lambda: False,
) -> Report:
    """Nothing to do; whether it is recorded is proved all the same, where there is a server to ask.

    Raises:
        InterruptionError: the user asked to stop; nothing was changed.
    """
    proof = Proof()
    if how.wait:
        process = listener(work.after.secure_port)
        proof = Proof((Check("receipt", Status.UNKNOWN, "no API server to ask"),))
        if process is not None:
            patience = Deadline(plane.clock.monotonic() + how.timeout_seconds, interrupted)
            try:
                proof = work.prove(process, patience)
            except InterruptionError as error:
                raise InterruptionError(f"{error.message}; nothing was changed") from error
        if Verification(proof.checks).holds:
            last_known_good.keep(plane, work.after, process)
    verification = Verification(proof.checks)
    return Report(
        work.command,
        Outcome.NEGATIVE if verification.holds is False else Outcome.UNCHANGED,
        "auditing is off already: nothing was written"
        if work.command == "disable"
        else f"already so, {_proved(verification)}: nothing was written",
        _manifest_change(plane, work, nothing=True),
        settings=settled(plane, work.after),
        findings=findings,
        verification=verification,
        receipt=proof.receipt,
        next_steps=("auditctl doctor",) if verification.holds is False else (),
    )


def _proved(verification: Verification) -> str:
    """Return whether the proof held, with the first check that failed."""
    for check in verification.checks:
        if check.status is Status.FAILED:
            return f"but the proof failed ({check.name}: {check.detail})"
    return "and recorded" if verification.holds else "not proved"


def _ready_check(result: Restarted, endpoint: Endpoint) -> Check:
    when = f"{result.seconds:.1f} s after the change (outage {result.outage:.1f} s)"
    if result.failing:  # not ours: these failed before the change already
        return Check("ready", Status.UNKNOWN, f"/readyz fails on {', '.join(result.failing)} as before, {when}")
    return Check("ready", Status.PASSED, f"{endpoint}/readyz answers 200, {when}")


def restart_checks(result: Restarted, endpoint: Endpoint) -> tuple[Check, ...]:
    """What the wait has shown, once it ended well."""
    return (
        Check(
            "restarted",
            Status.PASSED,
            f"process {result.process.pid} was started after the change, with the manifest's command line",
        ),
        _ready_check(result, endpoint),
    )


def manifest_change(plane: ControlPlane, snapshot: Snapshot, plan: Plan) -> ManifestChange:
    """The manifest's part of a report."""
    after = plan.after.encode() if plan.changes else snapshot.content
    return ManifestChange(
        str(plane.manifest_path),
        snapshot.sha256,
        sha256(after),
        plan.diff(str(plane.manifest_path)) if plan.changes else "",
        tuple(plan.patch),
        tuple(edit.reason for edit in plan.edits),
    )


def _manifest_change(plane: ControlPlane, work: PlannedChange, *, nothing: bool) -> ManifestChange:
    return manifest_change(plane, work.snapshot, work.plan)._replace(plan=planned(plane, work, nothing=nothing))


def changed_flags(before: Manifest, after: Manifest) -> tuple[str, ...]:
    """The audit flags that differ, one word each, for the history."""
    old, new = before.audit_flags, after.audit_flags
    changed = [f"--{name}={value}" for name, value in sorted(new.items()) if old.get(name) != value]
    return (*changed, *(f"without --{name}" for name in sorted(old) if name not in new))


def settled(plane: ControlPlane, manifest: Manifest) -> Settled:
    """What a manifest sets, and where its audit files are."""
    return Settled(
        dict(sorted(manifest.audit_flags.items())),
        _file(plane, manifest, POLICY_FLAG),
        _file(plane, manifest, LOG_FLAG),
        _file(plane, manifest, WEBHOOK_FLAG),
    )


def _file(plane: ControlPlane, manifest: Manifest, flag: str) -> dict[str, str | None] | None:
    container = manifest.flag(flag)
    if not container:
        return None
    host = node_checks.host_of(plane.root, manifest, flag)
    node_path = plane.root.node(host) if host is not None and container != STANDARD_OUTPUT else None
    found: dict[str, str | None] = {"hostPath": node_path, "containerPath": container}
    if flag == POLICY_FLAG:
        found["sha256"] = files.digest(host) if host is not None else None
    return found


def _success(work: PlannedChange, performed: ChangeResult) -> str:
    receipt = performed.receipt
    verb = {"enable": "auditing is on", "disable": "auditing is off", "restart": "restarted"}.get(work.command, "done")
    if receipt is not None:
        same = "; this request does not tell the new policy from the old one" if receipt.distinguishes is False else ""
        by = f"rules[{receipt.rule}]" if receipt.rule >= 0 else "no rule"
        return f"{verb}, and proved: {by} recorded {receipt.request} at {receipt.level}, line {receipt.line} of {receipt.file}{same}"
    if not performed.proved:
        unknown = [check.detail for check in performed.checks if check.status is Status.UNKNOWN]
        return f"{verb}, not proved: {'; '.join(unknown) or 'nothing was asked'}"
    return f"{verb}, and the API server serves"


def _next_steps(plane: ControlPlane, work: PlannedChange, performed: ChangeResult) -> tuple[str, ...]:
    if performed.outcome is not Outcome.CHANGED or work.command not in ("enable", "disable"):
        return ()
    if work.command == "disable":
        return (f"auditctl kubeadm persist  # {_UPGRADE}: auditing would come back",)
    log = node_checks.host_of(plane.root, work.after, LOG_FLAG)
    look = ("auditctl log tail -f",) if log is not None else ()
    return (*look, f"auditctl kubeadm persist  # {_UPGRADE}: these settings would be lost")
