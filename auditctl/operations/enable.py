"""``enable``: bring the node to the requested audit settings; change nothing where they are set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from auditctl.findings import Finding
from auditctl.manifest.plan import Plan, plan_enable
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.process import Process, server_on
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.files import sha256
from auditctl.node.change.journal import Role
from auditctl.operations import flags, policy_source
from auditctl.operations.change import preflight
from auditctl.operations.change.engine import run_change
from auditctl.operations.change.preflight import EditSubject
from auditctl.operations.change.report import changed_flags
from auditctl.operations.change.restart_strategy import reload
from auditctl.operations.change_model import (
    ChangeDecision,
    ChangeOptions,
    ChangeResult,
    Deadline,
    PlannedChange,
    ProofFunction,
    Recovered,
    Restart,
)
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.enable_files import (
    EnableRequest,
    InstalledFiles,
    edits_of,
    grant_readers,
    in_force,
    overwrites,
    policy_text,
    read_installed,
    readers_findings,
)
from auditctl.operations.evidence import receipt
from auditctl.operations.level_changes import PolicyStep
from auditctl.operations.policy_source import SelectedPolicy, apply_allowances, load_or_refuse
from auditctl.policy.types import Policy
from auditctl.report import Outcome, Report
from auditctl.settings import POLICY_ANNOTATION

__all__ = ["EnableRequest", "decide", "enable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """The node, all that its user asked for, and what runs on it now (None: not known, or nothing).

    ``version`` is the server's that will read the files; ``is_live``: it can be asked.
    """

    plane: ControlPlane
    request: EnableRequest
    options: ChangeOptions
    deadline: Deadline
    is_live: bool
    version: tuple[int, int]
    process: Process | None
    running: Policy | None

    @classmethod
    def of(
        cls,
        plane: ControlPlane,
        request: EnableRequest,
        options: ChangeOptions,
        manifest: Manifest,
        deadline: Deadline,
    ) -> _Node:
        """Return it with the process that listens on the manifest's port, if the node is live."""
        is_live = preflight.is_live(plane, manifest, options)
        process = server_on(plane.root, manifest.secure_port, manifest) if is_live else None
        return cls(
            plane=plane,
            request=request,
            options=options,
            deadline=deadline,
            is_live=is_live,
            version=policy_source.version_of(plane, manifest, live=is_live),
            process=process,
            running=receipt.loaded_policy(plane, manifest, process),
        )


def enable(plane: ControlPlane, request: EnableRequest, options: ChangeOptions) -> Report:
    """Switch auditing on, or change it; return the report.

    Raises:
        RefusedError: nothing was changed.
        StrandedError: a failed change could not be put back.
    """
    return run_change(plane, options, "enable", lambda recovered: decide(plane, request, options, recovered))


def decide(
    plane: ControlPlane, request: EnableRequest, options: ChangeOptions, recovered: Recovered = Recovered()
) -> ChangeDecision:
    """Read the node and decide; nothing is touched.

    Raises:
        RefusedError: the settings cannot work on this node, with every finding.
    """
    snapshot, before = plane.read_manifest()
    plan = plan_enable(before, request.settings)
    installed = read_installed(plane, request, plan.target or before)
    node = _Node.of(plane, request, options, before, recovered.deadline)
    chosen = load_or_refuse(*policy_text(plane, request, before, installed), node.version, options)
    edits = tuple(edits_of(request, installed, chosen))
    must_load = _must_load(edits, chosen, node.running, node.process)
    plan, restart, reasons = _restart(node, before, plan, edits, sha256(chosen.raw), must_load=must_load)
    after, log = plan.target or before, installed.paths.log
    probe_plan = receipt.plan(plane, after, chosen.policy, node.running if must_load else None, log=log)
    planned = PlannedChange(
        command="enable",
        summary=_summary(before, after, edits, chosen),
        snapshot=snapshot,
        before=before,
        after=after,
        plan=plan,
        paths=installed.paths,
        edits=edits,
        directories=installed.paths.log_directories,
        restart=restart,
        prove=_prover(node, after, probe_plan),
        afterwards=tuple(_afterwards(request, options)),
    )
    return ChangeDecision(
        planned=planned,
        findings=(*chosen.findings, *_weighed(node, planned, chosen, probe_plan, installed), *reasons),
        nothing=_is_nothing(planned),
        finish=_granting(request, log),
        policies=PolicyStep(node.running or in_force(plane, before, installed), chosen.policy),
        examined=tuple(_kept_policy(installed, edits)),
    )


def _is_nothing(planned: PlannedChange) -> bool:
    return not planned.plan.changes and not planned.edits and planned.restart is Restart.NONE


def _weighed(
    node: _Node,
    planned: PlannedChange,
    chosen: SelectedPolicy,
    probe_plan: receipt.ProbePlan,
    installed: InstalledFiles,
) -> tuple[Finding, ...]:
    """Return every finding about the change; the trial start comes last, for it takes seconds.

    Raises:
        RefusedError: a finding is in the way.
    """
    plane, options = node.plane, node.options
    findings = apply_allowances(
        (*_findings(node, planned, chosen, probe_plan), *_webhook(node, planned, installed)), options
    )
    if _is_nothing(planned) or not node.is_live:
        return findings
    tried = preflight.trial_start(plane, planned, chosen, node.process, node.deadline)
    return (*findings, *apply_allowances(tried, options))


def _kept_policy(installed: InstalledFiles, edits: tuple[FileEdit, ...]) -> Iterator[tuple[Path, str]]:
    """Yield the installed policy where it stays: it is the one that was examined and that the server will load."""
    path, policy = installed.paths.policy, installed.policy
    if path is not None and policy is not None and all(edit.path != path for edit in edits):
        yield path, policy.sha256


def _prover(node: _Node, after: Manifest, probe_plan: receipt.ProbePlan) -> ProofFunction:
    may_be_down = "webhook-reachable" in node.options.allow
    return receipt.prover(node.plane, after, probe_plan, receiver_may_be_down=may_be_down)


def _granting(request: EnableRequest, log: Path | None) -> Callable[[ChangeResult], ChangeResult]:
    """Return what lets ``--readers`` read the log, once the change is done or was not needed."""

    def finish(result: ChangeResult) -> ChangeResult:
        if result.outcome not in (Outcome.CHANGED, Outcome.UNCHANGED):
            return result
        return replace(result, findings=(*grant_readers(request.readers, log), *result.findings))

    return finish


def _afterwards(request: EnableRequest, options: ChangeOptions) -> Iterator[str]:
    if request.readers:
        yield f"auditctl enable --readers {request.readers}"
    if options.persist:
        yield "auditctl kubeadm persist"


def _findings(
    node: _Node, planned: PlannedChange, chosen: SelectedPolicy, probe_plan: receipt.ProbePlan
) -> Iterator[Finding]:
    """Yield what speaks against the change, and what its user should know."""
    plane, request = node.plane, node.request
    version = policy_source.version_of(plane, planned.before, live=False)
    yield from planned.plan.findings
    of_flags = tuple(flags.findings(planned.after, version, planned.before))
    yield from of_flags
    said = {finding.check for finding in planned.plan.findings}  # of the same flag, in the plan's own words
    said |= {"disk"} if any(finding.check == "retention" for finding in of_flags) else set()  # it says why it fills up
    checked = preflight.before_edit(plane, EditSubject.of(planned), node.process, node.options)
    yield from (finding for finding in checked if finding.check not in said)
    yield from overwrites(planned.before, planned.edits, request)
    yield from readers_findings(plane, request.readers, probe_plan.log)
    yield from receipt.findings(probe_plan)
    yield from policy_source.lint_warnings(chosen, version) if request.policy is not None else ()


def _webhook(node: _Node, planned: PlannedChange, installed: InstalledFiles) -> Iterator[Finding]:
    """Yield whether a new receiver answers. One in use is not tried: its faults are not of this change."""
    is_written = any(edit.role is Role.WEBHOOK for edit in planned.edits)
    if installed.prepared is not None and is_written and node.is_live:
        yield from installed.prepared.trial(planned.after)


def _restart(
    node: _Node, before: Manifest, plan: Plan, edits: tuple[FileEdit, ...], digest: str, *, must_load: bool
) -> tuple[Plan, Restart, tuple[Finding, ...]]:
    """Return the plan, how the server comes to read the settings, and why so.

    A changed manifest replaces the Pod, and its annotation must not name another policy then.
    """
    if must_load and not plan.changes:
        reloading = reload(node.plane, plan, before, digest, node.process, node.options)
        return reloading.plan, reloading.restart, (reloading.reason,)
    if plan.changes:
        if before.annotations.get(POLICY_ANNOTATION) not in (None, digest):
            plan = plan_enable(before, node.request.settings, policy_sha256=digest)
        return plan, Restart.REPLACE_POD, ()
    is_webhook_new = any(edit.role is Role.WEBHOOK for edit in edits)
    return plan, Restart.IN_PLACE if is_webhook_new else Restart.NONE, ()


def _must_load(
    edits: tuple[FileEdit, ...], chosen: SelectedPolicy, running: Policy | None, process: Process | None
) -> bool:
    """Return whether the server must load the policy: not if it runs one that decides the same.

    Where what it runs is not known (the file was touched since its start), it has to, if there is a server at all.
    """
    if running is not None:
        return not policy_source.decides_the_same(running, chosen.policy)
    return process is not None or any(edit.role is Role.POLICY for edit in edits)


def _summary(before: Manifest, after: Manifest, edits: tuple[FileEdit, ...], chosen: SelectedPolicy) -> str:
    """Return what the history says of it: the files installed, and the flags that change."""
    installed = [f"policy from {chosen.source}" if edit.role is Role.POLICY else edit.role.value for edit in edits]
    return ", ".join((*installed, *changed_flags(before, after))) or "load the policy anew"
