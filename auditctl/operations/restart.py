"""``restart``: load the policy that stands on disk; people edit the installed file in place."""

from __future__ import annotations

from collections.abc import Callable

from auditctl.errors import RefusedError
from auditctl.findings import Finding, Severity
from auditctl.manifest.plan import Plan
from auditctl.node.apiserver.process import listener
from auditctl.node.change import files, rejected_files
from auditctl.node.change.journal import Role
from auditctl.node.preflight import node_checks
from auditctl.operations import policy_source
from auditctl.operations.change import preflight as change_preflight
from auditctl.operations.change.report import dry_run_report, performed_report
from auditctl.operations.change.restart_strategy import reload
from auditctl.operations.change_model import ChangeOptions, ChangeResult, PlannedChange
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence import last_known_good, receipt
from auditctl.operations.policy_source import weigh
from auditctl.policy.load import load
from auditctl.report import Outcome, Report
from auditctl.settings import POLICY_FLAG


def restart(plane: ControlPlane, how: ChangeOptions) -> Report:
    """Validate the policy on disk, restart, prove; if the server dies of it, the last known good one goes back.

    Raises:
        PolicyError: the server would refuse the policy on disk; RefusedError: auditing is off, or nothing can be done.
    """
    if how.dry_run:
        change_preflight.check_places(plane)
        work, findings = _decide(plane, how)
        return dry_run_report(plane, work, findings, nothing=False)
    from auditctl.operations.change.session import session

    with session(plane, "restart") as opened:
        work, findings = _decide(plane, how, opened.interrupted)
        from auditctl.operations.change.run import perform

        performed = perform(opened, work, how)
        if performed.outcome in (Outcome.ROLLED_BACK, Outcome.INTERRUPTED):
            performed = performed._replace(next_steps=_to_repair(plane, performed))
        return performed_report(plane, work, (*opened.recovered, *findings), performed)


def _decide(
    plane: ControlPlane, how: ChangeOptions, interrupted: Callable[[], bool] = lambda: False
) -> tuple[PlannedChange, tuple[Finding, ...]]:
    snapshot, manifest = plane.read_manifest()
    host = node_checks.host_of(plane.root, manifest, POLICY_FLAG)
    if host is None:
        raise RefusedError(
            f"{plane.manifest_path}: no --{POLICY_FLAG} is set, so there is no policy to load",
            check="auditing-off",
            fix="auditctl enable --policy FILE",
        )
    on_disk = files.read(host, "policy")
    live = change_preflight.is_live(plane, how)
    version = policy_source.version_of(plane, manifest, live=live and not how.dry_run)
    chosen = policy_source.judge(str(host), on_disk.content, version, how)
    process = listener(manifest.secure_port) if live else None
    last_good = last_known_good.recall(plane, Role.POLICY)
    text = manifest.document.text
    plan, kind, why = reload(plane, Plan(text, text), manifest, on_disk.sha256, process, how)
    after = plan.target or manifest
    before_policy = load(last_good).policy if last_good is not None and last_good != on_disk.content else None
    planned = receipt.plan(plane, after, chosen.policy, before_policy)
    found = (
        *change_preflight.before_edit(plane, manifest, after, (), process, how),
        *receipt.findings(planned),
        *_no_way_back(last_good),
        *last_known_good.webhook_edited_by_hand(plane, manifest),
        *policy_source.opinions(chosen, version),
    )
    edits = tuple(last_known_good.edits_made_by_hand(plane, manifest))
    work = PlannedChange("restart", f"load {host} anew", snapshot, manifest, after, plan, edits, restart=kind)
    work = work._replace(prove=receipt.prover(plane, after, planned))
    weighed = weigh(found, how)
    if live:
        from auditctl.operations.evidence.trial_start import rehearsed

        weighed = (*weighed, *weigh(rehearsed(plane, work, chosen, process, interrupted), how))
    return work, (*chosen.findings, *weighed, why)


def _no_way_back(last_good: bytes | None) -> tuple[Finding, ...]:
    if last_good is not None:
        return ()
    text = "no policy was proved by auditctl on this node yet, so there is no last known good one to fall back to"
    return (Finding("last-known-good", Severity.WARNING, text),)


def _to_repair(plane: ControlPlane, performed: ChangeResult) -> tuple[str, ...]:
    """The edited files stay beside the installed ones, for their author to repair."""
    journal = plane.state.journal(performed.change.id) if performed.change is not None else None
    options = {Role.POLICY: "--policy", Role.WEBHOOK: "--webhook-config"}
    kept = rejected_files.kept(plane.root, journal) if journal is not None else {}
    return tuple(f"repair {path}, then: auditctl enable {options[role]} {path}" for role, path in kept.items())
