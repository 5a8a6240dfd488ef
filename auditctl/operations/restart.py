"""``restart``: load the policy on disk; people edit the installed file in place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.findings import Finding
from auditctl.manifest.plan import Plan
from auditctl.node.apiserver.process import Process, listener
from auditctl.node.change import files, rejected_files
from auditctl.node.change.files import Snapshot
from auditctl.node.change.journal import Role
from auditctl.node.preflight import node_checks
from auditctl.node.preflight.node_checks import HostPaths
from auditctl.operations import policy_source
from auditctl.operations.change import preflight
from auditctl.operations.change.engine import run_change
from auditctl.operations.change.preflight import EditSubject
from auditctl.operations.change.restart_strategy import reload
from auditctl.operations.change_model import ChangeDecision, ChangeOptions, ChangeResult, PlannedChange, Recovered
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence import last_known_good, receipt
from auditctl.operations.level_changes import PolicyStep
from auditctl.operations.policy_source import apply_allowances
from auditctl.policy.load import load
from auditctl.report import Outcome, Report
from auditctl.settings import POLICY_FLAG


def restart(plane: ControlPlane, options: ChangeOptions) -> Report:
    """Validate the policy on disk, restart, prove; put the last known good one back if that fails.

    Raises:
        PolicyError: the server would refuse the policy on disk.
        RefusedError: auditing is off, or something is in the way; nothing was changed.
    """
    return run_change(plane, options, "restart", lambda recovered: decide(plane, options, recovered))


def decide(plane: ControlPlane, options: ChangeOptions, recovered: Recovered = Recovered()) -> ChangeDecision:
    """Read the node and decide how its API server loads the policy on disk; nothing is touched.

    Raises:
        PolicyError: the server would refuse the policy on disk.
        RefusedError: auditing is off, or something is in the way.
    """
    snapshot, manifest = plane.read_manifest()
    paths = node_checks.host_paths(plane.root, manifest)
    policy_path, on_disk = _installed_policy(plane, paths)
    live = preflight.is_live(plane, manifest, options)
    version = policy_source.version_of(plane, manifest, live=live)
    chosen = policy_source.load_or_refuse(str(policy_path), on_disk.content, version, options)
    process = listener(manifest.secure_port, manifest) if live else None
    last_good = last_known_good.recall(plane, Role.POLICY)
    unchanged = Plan(manifest.document.text, manifest.document.text)
    plan, kind, reason = reload(plane, unchanged, manifest, on_disk.sha256, process, options)
    before_policy = load(last_good).policy if last_good is not None and last_good != on_disk.content else None
    probe_plan = receipt.plan(plane, plan.target or manifest, chosen.policy, before_policy, log=paths.log)
    planned = PlannedChange(
        command="restart",
        summary=f"load {policy_path} anew",
        snapshot=snapshot,
        before=manifest,
        after=plan.target or manifest,
        plan=plan,
        paths=paths,
        edits=tuple(last_known_good.edits_made_by_hand(policy_path, on_disk, last_good)),
        restart=kind,
        prove=receipt.prover(plane, plan.target or manifest, probe_plan),
    )
    warnings = (*receipt.findings(probe_plan), *_no_way_back(last_good), *policy_source.lint_warnings(chosen, version))
    weighed = apply_allowances((*_findings(plane, planned, process, options), *warnings), options)
    trial = preflight.trial_start(plane, planned, chosen, process, recovered.deadline) if live else ()
    findings = (*chosen.findings, *weighed, *apply_allowances(trial, options), reason)
    policies = PolicyStep(receipt.loaded_policy(plane, manifest, process) or before_policy, chosen.policy)
    finish, examined = partial(_with_repair, plane), ((policy_path, on_disk.sha256),)
    return ChangeDecision(planned=planned, findings=findings, finish=finish, policies=policies, examined=examined)


def _installed_policy(plane: ControlPlane, paths: HostPaths) -> tuple[Path, Snapshot]:
    if paths.policy is None:
        raise RefusedError(
            f"{plane.manifest_path}: no --{POLICY_FLAG} is set, so there is no policy to load",
            check="auditing-off",
            fix="auditctl enable --policy baseline",
        )
    return paths.policy, files.read(paths.policy, "policy")


def _findings(
    plane: ControlPlane, planned: PlannedChange, process: Process | None, options: ChangeOptions
) -> Iterator[Finding]:
    """Yield what speaks against the restart. Its files are there already: it writes none."""
    subject = EditSubject(before=planned.before, after=planned.after, paths=planned.paths)
    yield from preflight.before_edit(plane, subject, process, options)
    yield from last_known_good.webhook_edited_by_hand(plane, planned.paths.webhook)


def _no_way_back(last_good: bytes | None) -> tuple[Finding, ...]:
    if last_good is not None:
        return ()
    text = "no policy was proved by auditctl on this node yet, so there is no last known good one to fall back to"
    return (Finding.warning("last-known-good", text),)


def _with_repair(plane: ControlPlane, result: ChangeResult) -> ChangeResult:
    """Return the result with its next steps: edited files stay beside the installed ones for repair."""
    if result.outcome not in (Outcome.ROLLED_BACK, Outcome.INTERRUPTED):
        return result
    journal = plane.state.journal(result.change.id) if result.change is not None else None
    options = {Role.POLICY: "--policy", Role.WEBHOOK: "--webhook-config"}
    kept = rejected_files.kept(plane.root, journal) if journal is not None else {}
    steps = tuple(f"repair {path}, then: auditctl enable {options[role]} {path}" for role, path in kept.items())
    return replace(result, next_steps=steps)
