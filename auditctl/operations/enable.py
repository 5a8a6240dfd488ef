"""``enable``: converge the node to what was asked; change nothing where it is so already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.findings import Finding, Severity
from auditctl.manifest.plan import Plan, plan_enable
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.process import Process, listener
from auditctl.node.change import files
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.files import Snapshot, sha256
from auditctl.node.change.journal import Role
from auditctl.node.preflight import node_checks
from auditctl.operations import policy_source, readers
from auditctl.operations.change import preflight as change_preflight
from auditctl.operations.change.kubeadm_record import recording
from auditctl.operations.change.report import changed_flags, dry_run_report, performed_report, unchanged_report
from auditctl.operations.change.restart_strategy import reload
from auditctl.operations.change_model import ChangeOptions, PlannedChange, Restart
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence import receipt
from auditctl.operations.policy_source import SelectedPolicy, weigh
from auditctl.policy.types import Policy
from auditctl.report import Outcome, Report
from auditctl.settings import LOG_FLAG, POLICY_ANNOTATION, POLICY_FLAG, WEBHOOK_FLAG, Settings


class EnableRequest(NamedTuple):
    """What ``enable`` was asked: the settings, and the files to install (None: keep what is there)."""

    settings: Settings
    policy: str | None = None
    webhook_config: Path | None = None
    readers: str | None = None
    embed_certs: bool = False


class EnableDecision(NamedTuple):
    """What is to be done, or nothing (``work.restart`` NONE and no edit)."""

    work: PlannedChange
    findings: tuple[Finding, ...]
    proof: receipt.ProbePlan
    nothing: bool


def enable(plane: ControlPlane, request: EnableRequest, how: ChangeOptions) -> Report:
    """Switch auditing on, or change it.

    Raises:
        RefusedError: nothing was changed; StrandedError: a human is needed.
    """
    if how.dry_run:
        change_preflight.check_places(plane)
        decided = decide(plane, request, how)
        record = recording(plane, decided.work.after, how)
        return record(dry_run_report(plane, decided.work, decided.findings, nothing=decided.nothing))
    from auditctl.operations.change.session import session

    with session(plane, "enable") as opened:
        decided = decide(plane, request, how, opened.interrupted)
        decided = decided._replace(findings=(*opened.recovered, *decided.findings))
        record = recording(plane, decided.work.after, how)
        if decided.nothing:
            granted = readers.grant(request.readers, decided.proof.log)
            found = (*decided.findings, *granted)
            return record(unchanged_report(plane, decided.work, found, how, opened.interrupted))
        from auditctl.operations.change.run import perform

        performed = perform(opened, decided.work, how)
        granted = readers.grant(request.readers, decided.proof.log) if performed.outcome is Outcome.CHANGED else ()
        return record(performed_report(plane, decided.work, (*decided.findings, *granted), performed))


def decide(
    plane: ControlPlane, request: EnableRequest, how: ChangeOptions, interrupted: Callable[[], bool] = lambda: False
) -> EnableDecision:
    """Read the node and decide; nothing is touched.

    Raises:
        RefusedError: what cannot work, with every finding.
    """
    snapshot, before = plane.read_manifest()
    plan = plan_enable(before, request.settings)
    after = plan.target or before
    host = node_checks.host_of(plane.root, after, POLICY_FLAG)
    installed = _installed(plane, after, POLICY_FLAG, "policy")
    chosen = _choose(plane, request, before, installed, how, host=host)
    process = listener(before.secure_port) if change_preflight.is_live(plane, how) else None
    running = receipt.loaded_policy(plane, before, process)
    edits = tuple(_edits(plane, request, after, chosen, installed))
    must_load = _must_load(edits, chosen, running, process)
    digest, said = sha256(chosen.raw), tuple[Finding, ...]()
    if must_load and not plan.changes:
        plan, restart, why = reload(plane, plan, before, digest, process, how)
        said = (why,)
    else:
        plan, restart = _restart(before, plan, request.settings, edits, digest)
    after = plan.target or before
    planned = receipt.plan(plane, after, chosen.policy, running if must_load else None)
    summary = _summary(before, after, edits, chosen)
    log = node_checks.host_of(plane.root, after, LOG_FLAG)
    directories = (log.parent,) if log is not None else ()
    work = PlannedChange("enable", summary, snapshot, before, after, plan, edits, directories, restart)
    may_be_down = "webhook-reachable" in how.allow
    work = work._replace(prove=receipt.prover(plane, after, planned, receiver_may_be_down=may_be_down))
    later = (f"auditctl enable --readers {request.readers}",) if request.readers else ()
    work = work._replace(afterwards=(*later, *(("auditctl kubeadm persist",) if how.persist else ())))
    found = weigh(_findings(plane, request, work, chosen, planned, process, how), how)
    nothing = not plan.changes and not edits and restart is Restart.NONE
    if change_preflight.is_live(plane, how) and not nothing:
        from auditctl.operations.evidence.trial_start import rehearsed

        found = (*found, *weigh(rehearsed(plane, work, chosen, process, interrupted), how))
    return EnableDecision(work, (*chosen.findings, *found, *said), planned, nothing)


def _findings(
    plane: ControlPlane,
    request: EnableRequest,
    work: PlannedChange,
    chosen: SelectedPolicy,
    planned: receipt.ProbePlan,
    process: Process | None,
    how: ChangeOptions,
) -> Iterator[Finding]:
    from auditctl.operations import flags

    version = policy_source.version_of(plane, work.before, live=False)
    yield from work.plan.findings
    unwise = tuple(flags.findings(work.after, version, work.before))
    yield from unwise
    told = {finding.check for finding in work.plan.findings}  # of the same flag, in the plan's own words
    told |= {"disk"} if any(finding.check == "retention" for finding in unwise) else set()  # that says why it fills up
    roles = [edit.role for edit in work.edits]
    looked = change_preflight.before_edit(
        plane, work.before, work.after, roles, process, how, directories=work.directories
    )
    yield from (finding for finding in looked if finding.check not in told)
    yield from _overwrites(work.before, work.edits, request)
    yield from readers.before_edit(plane, request.readers, planned.log)
    yield from receipt.findings(planned)
    if request.webhook_config is not None and change_preflight.is_live(plane, how) and _writes_webhook(work):
        from auditctl.operations import webhook

        prepared = webhook.prepare(plane, request.webhook_config, work.after, embed=request.embed_certs)
        yield from webhook.reachable(prepared.config, work.after)
    yield from policy_source.opinions(chosen, version) if request.policy is not None else ()


def _writes_webhook(work: PlannedChange) -> bool:
    """A receiver that is in use already is not tried again: its troubles are not of this change."""
    return any(edit.role is Role.WEBHOOK for edit in work.edits)


def _choose(
    plane: ControlPlane,
    request: EnableRequest,
    before: Manifest,
    installed: Snapshot | None,
    how: ChangeOptions,
    *,
    host: Path | None,
) -> SelectedPolicy:
    """The policy that will be loaded: the named one, else the installed one (at ``host``), else ``baseline``."""
    version = policy_source.version_of(plane, before, live=change_preflight.is_live(plane, how) and not how.dry_run)
    if request.policy is not None:
        return policy_source.judge(*policy_source.fetch(request.policy), version, how)
    if before.flag(POLICY_FLAG) is None:
        return policy_source.judge(*policy_source.fetch(policy_source.DEFAULT_POLICY), version, how)
    if installed is None:
        installed = _installed(plane, before, POLICY_FLAG, "policy")  # --policy-path moves what is there
        host = node_checks.host_of(plane.root, before, POLICY_FLAG)
    if installed is None:
        raise RefusedError(
            f"{host or before.flag(POLICY_FLAG)}: the policy that the manifest names is not there",
            check="policy-missing",
            fix="name one with --policy",
        )
    return policy_source.judge(str(host), installed.content, version, how)


def _installed(plane: ControlPlane, manifest: Manifest, flag: str, what: str) -> Snapshot | None:
    host = node_checks.host_of(plane.root, manifest, flag)
    return files.read_if_there(host, what) if host is not None and not host.is_dir() else None


def _edits(
    plane: ControlPlane, request: EnableRequest, after: Manifest, chosen: SelectedPolicy, installed: Snapshot | None
) -> Iterator[FileEdit]:
    """The files to install, where what is there differs."""
    host = node_checks.host_of(plane.root, after, POLICY_FLAG)
    if host is not None and (installed is None or installed.content != chosen.raw):
        yield FileEdit(Role.POLICY, host, installed, chosen.raw, source=chosen.source)
    if request.webhook_config is not None:
        from auditctl.operations import webhook

        content = webhook.prepare(plane, request.webhook_config, after, embed=request.embed_certs).content
        there = _installed(plane, after, WEBHOOK_FLAG, "webhook")
        host = node_checks.host_of(plane.root, after, WEBHOOK_FLAG)
        if host is not None and (there is None or there.content != content):
            yield FileEdit(Role.WEBHOOK, host, there, content, source=str(request.webhook_config))


def _restart(
    before: Manifest, plan: Plan, settings: Settings, edits: tuple[FileEdit, ...], digest: str
) -> tuple[Plan, Restart]:
    """How the server comes to read it: a changed manifest replaces the Pod, and its annotation must not lie then."""
    if plan.changes:
        if before.annotations.get(POLICY_ANNOTATION) not in (None, digest):
            plan = plan_enable(before, settings, policy_sha256=digest)
        return plan, Restart.REPLACE_POD
    return plan, Restart.IN_PLACE if any(edit.role is Role.WEBHOOK for edit in edits) else Restart.NONE


def _must_load(
    edits: tuple[FileEdit, ...], chosen: SelectedPolicy, running: Policy | None, process: Process | None
) -> bool:
    """Does the server have to read the policy anew? Not if it runs one that decides the same.

    Where what it runs is not known (the file was touched since its start), it has to, if there is a server at all.
    """
    if running is not None:
        return not policy_source.decides_the_same(running, chosen.policy)
    return process is not None or any(edit.role is Role.POLICY for edit in edits)


def _overwrites(before: Manifest, edits: tuple[FileEdit, ...], request: EnableRequest) -> Iterator[Finding]:
    """A file that stood where ``baseline`` goes, and that nobody named."""
    for edit in edits:
        if (
            edit.role is Role.POLICY
            and edit.before is not None
            and request.policy is None
            and before.flag(POLICY_FLAG) is None
        ):
            yield Finding(
                "policy-replaced",
                Severity.WARNING,
                f"{edit.path} was there already and is replaced by the shipped policy {policy_source.DEFAULT_POLICY}",
                f"to keep it, say --policy {edit.path}",
            )


def _summary(before: Manifest, after: Manifest, edits: tuple[FileEdit, ...], chosen: SelectedPolicy) -> str:
    """What the history says of it: the files installed, and the flags that change."""
    installed = [f"policy from {chosen.source}" if edit.role is Role.POLICY else edit.role.value for edit in edits]
    return ", ".join((*installed, *changed_flags(before, after))) or "load the policy anew"
