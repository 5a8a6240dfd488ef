"""``restart``: load the policy that stands on disk; people edit the installed file in place."""

from __future__ import annotations

from collections.abc import Callable

from auditctl.errors import RefusedError
from auditctl.findings import Finding, Severity
from auditctl.manifest.plan import Plan
from auditctl.node import files, preflight, rejected
from auditctl.node.journal import Role
from auditctl.node.process import listener
from auditctl.operations import checks, lastgood, policies, proof
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.outcome import dry_run_report, performed_report
from auditctl.operations.policies import weigh
from auditctl.operations.reload import reload
from auditctl.operations.work import How, Performed, Work
from auditctl.policy.load import load
from auditctl.report import Outcome, Report
from auditctl.settings import POLICY_FLAG


def restart(plane: ControlPlane, how: How) -> Report:
    """Validate the policy on disk, restart, prove; if the server dies of it, the last known good one goes back.

    Raises:
        PolicyError: the server would refuse the policy on disk; RefusedError: auditing is off, or nothing can be done.
    """
    if how.dry_run:
        checks.check_places(plane)
        work, findings = _decide(plane, how)
        return dry_run_report(plane, work, findings, nothing=False)
    from auditctl.operations.session import session

    with session(plane, "restart") as opened:
        work, findings = _decide(plane, how, opened.interrupted)
        from auditctl.operations.perform import perform

        performed = perform(opened, work, how)
        if performed.outcome in (Outcome.ROLLED_BACK, Outcome.INTERRUPTED):
            performed = performed._replace(next_steps=_to_repair(plane, performed))
        return performed_report(plane, work, (*opened.recovered, *findings), performed)


def _decide(
    plane: ControlPlane, how: How, interrupted: Callable[[], bool] = lambda: False
) -> tuple[Work, tuple[Finding, ...]]:
    snapshot, manifest = plane.read_manifest()
    host = preflight.host_of(plane.root, manifest, POLICY_FLAG)
    if host is None:
        raise RefusedError(
            f"{plane.manifest_path}: no --{POLICY_FLAG} is set, so there is no policy to load",
            check="auditing-off",
            fix="auditctl enable --policy FILE",
        )
    on_disk = files.read(host, "policy")
    live = checks.is_live(plane, how)
    version = policies.version_of(plane, manifest, live=live and not how.dry_run)
    chosen = policies.judge(str(host), on_disk.content, version, how)
    process = listener(manifest.secure_port, manifest) if live else None
    last_good = lastgood.recall(plane, Role.POLICY)
    text = manifest.document.text
    plan, kind, why = reload(plane, Plan(text, text), manifest, on_disk.sha256, process, how)
    after = plan.target or manifest
    before_policy = load(last_good).policy if last_good is not None and last_good != on_disk.content else None
    planned = proof.plan(plane, after, chosen.policy, before_policy)
    found = (
        *checks.before_edit(plane, manifest, after, (), process, how),
        *proof.findings(planned),
        *_no_way_back(last_good),
        *lastgood.webhook_edited_by_hand(plane, manifest),
        *policies.opinions(chosen, version),
    )
    edits = tuple(lastgood.edits_made_by_hand(plane, manifest))
    work = Work("restart", f"load {host} anew", snapshot, manifest, after, plan, edits, restart=kind)
    work = work._replace(prove=proof.prover(plane, after, planned))
    weighed = weigh(found, how)
    if live:
        from auditctl.operations.rehearse import rehearsed

        weighed = (*weighed, *weigh(rehearsed(plane, work, chosen, process, interrupted), how))
    return work, (*chosen.findings, *weighed, why)


def _no_way_back(last_good: bytes | None) -> tuple[Finding, ...]:
    if last_good is not None:
        return ()
    text = "no policy was proved by auditctl on this node yet, so there is no last known good one to fall back to"
    return (Finding("last-known-good", Severity.WARNING, text),)


def _to_repair(plane: ControlPlane, performed: Performed) -> tuple[str, ...]:
    """The edited files stay beside the installed ones, for their author to repair."""
    journal = plane.state.journal(performed.change.id) if performed.change is not None else None
    options = {Role.POLICY: "--policy", Role.WEBHOOK: "--webhook-config"}
    kept = rejected.kept(plane.root, journal) if journal is not None else {}
    return tuple(f"repair {path}, then: auditctl enable {options[role]} {path}" for role, path in kept.items())
