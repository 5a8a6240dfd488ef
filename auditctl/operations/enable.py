"""``enable``: bring the node to the requested audit settings; change nothing where it has them already."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

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
from auditctl.node.preflight.node_checks import HostPaths
from auditctl.operations import flags, policy_source, readers
from auditctl.operations.change import preflight
from auditctl.operations.change.engine import run_change
from auditctl.operations.change.preflight import EditSubject
from auditctl.operations.change.report import changed_flags
from auditctl.operations.change.restart_strategy import reload
from auditctl.operations.change_model import (
    ChangeOptions,
    ChangeResult,
    Deadline,
    Decision,
    PlannedChange,
    ProofFunction,
    Recovered,
    Restart,
)
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence import receipt
from auditctl.operations.policy_source import SelectedPolicy, weigh
from auditctl.policy.types import Policy
from auditctl.report import Outcome, Report
from auditctl.settings import POLICY_ANNOTATION, POLICY_FLAG, Settings

if TYPE_CHECKING:  # ssl comes with it
    from auditctl.operations.webhook import PreparedWebhook


class EnableRequest(NamedTuple):
    """What ``enable`` is to do: the settings, and the files to install (None: keep the installed one)."""

    settings: Settings
    policy: str | None = None
    webhook_config: Path | None = None
    readers: str | None = None
    embed_certs: bool = False


class _InstalledFiles(NamedTuple):
    """What is read once: the files at the paths of the manifest to be, and the webhook file that is to be installed."""

    paths: HostPaths
    policy: Snapshot | None
    webhook: Snapshot | None
    prepared: PreparedWebhook | None


class _Node(NamedTuple):
    """The node, and all that its user asked for."""

    plane: ControlPlane
    request: EnableRequest
    options: ChangeOptions
    process: Process | None
    deadline: Deadline


def enable(plane: ControlPlane, request: EnableRequest, options: ChangeOptions) -> Report:
    """Switch auditing on, or change it; return the report.

    Raises:
        RefusedError: nothing was changed.
        StrandedError: a failed change could not be put back.
    """
    return run_change(plane, options, "enable", lambda recovered: decide(plane, request, options, recovered))


def decide(
    plane: ControlPlane, request: EnableRequest, options: ChangeOptions, recovered: Recovered = Recovered()
) -> Decision:
    """Read the node and decide; nothing is touched.

    Raises:
        RefusedError: the settings cannot work on this node, with every finding.
    """
    snapshot, before = plane.read_manifest()
    plan = plan_enable(before, request.settings)
    installed = _read_installed(plane, request, plan.target or before)
    chosen = _choose(plane, request, before, installed, options)
    process = listener(before.secure_port) if preflight.is_live(plane, options) else None
    node = _Node(plane, request, options, process, recovered.deadline)
    running = receipt.loaded_policy(plane, before, process)
    edits = tuple(_edits(request, installed, chosen))
    must_load = _must_load(edits, chosen, running, process)
    plan, restart, reasons = _restart(node, before, plan, edits, sha256(chosen.raw), must_load=must_load)
    after, log = plan.target or before, installed.paths.log
    probe_plan = receipt.plan(plane, after, chosen.policy, running if must_load else None, log=log)
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
    nothing = not plan.changes and not edits and restart is Restart.NONE
    found = weigh((*_findings(node, planned, chosen, probe_plan), *_webhook(node, planned, installed)), options)
    if preflight.is_live(plane, options) and not nothing:
        found = (*found, *weigh(_trial_start(node, planned, chosen), options))
    findings = (*chosen.findings, *found, *reasons)
    return Decision(planned=planned, findings=findings, nothing=nothing, finish=_granting(request, log))


def _prover(node: _Node, after: Manifest, probe_plan: receipt.ProbePlan) -> ProofFunction:
    may_be_down = "webhook-reachable" in node.options.allow
    return receipt.prover(node.plane, after, probe_plan, receiver_may_be_down=may_be_down)


def _granting(request: EnableRequest, log: Path | None) -> Callable[[ChangeResult], ChangeResult]:
    """Return what lets ``--readers`` read the log, once the change is done or was not needed."""

    def finish(result: ChangeResult) -> ChangeResult:
        if result.outcome not in (Outcome.CHANGED, Outcome.UNCHANGED):
            return result
        return replace(result, findings=(*readers.grant(request.readers, log), *result.findings))

    return finish


def _read_installed(plane: ControlPlane, request: EnableRequest, after: Manifest) -> _InstalledFiles:
    """Read each file once; what is decided, tried and written later are these very bytes."""
    paths = node_checks.host_paths(plane.root, after)
    policy = _read(paths.policy, "policy")
    if request.webhook_config is None:
        return _InstalledFiles(paths, policy, None, None)
    from auditctl.operations import webhook

    prepared = webhook.prepare(plane, request.webhook_config, after, embed=request.embed_certs)
    return _InstalledFiles(paths, policy, _read(paths.webhook, "webhook"), prepared)


def _read(host: Path | None, name: str) -> Snapshot | None:
    return files.read_if_there(host, name) if host is not None and not host.is_dir() else None


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
    yield from _overwrites(planned.before, planned.edits, request)
    yield from readers.before_edit(plane, request.readers, probe_plan.log)
    yield from receipt.findings(probe_plan)
    yield from policy_source.opinions(chosen, version) if request.policy is not None else ()


def _webhook(node: _Node, planned: PlannedChange, installed: _InstalledFiles) -> Iterator[Finding]:
    """Yield whether the receiver answers. One that is in use already is not tried: its faults are not of this change."""
    is_written = any(edit.role is Role.WEBHOOK for edit in planned.edits)
    if installed.prepared is not None and is_written and preflight.is_live(node.plane, node.options):
        from auditctl.operations import webhook

        yield from webhook.reachable(installed.prepared.config, planned.after)


def _trial_start(node: _Node, planned: PlannedChange, chosen: SelectedPolicy) -> Iterator[Finding]:
    """Yield what the node's own API server says of the new settings, started aside with them."""
    from auditctl.operations.evidence.trial_start import rehearsed  # subprocess comes with it

    yield from rehearsed(node.plane, planned, chosen, node.process, node.deadline)


def _choose(
    plane: ControlPlane,
    request: EnableRequest,
    before: Manifest,
    installed: _InstalledFiles,
    options: ChangeOptions,
) -> SelectedPolicy:
    """Return the policy that will be loaded: the named one, else the installed one, else ``baseline``."""
    version = policy_source.version_of(plane, before, live=preflight.is_live(plane, options) and not options.dry_run)
    if request.policy is not None:
        return policy_source.judge(*policy_source.fetch(request.policy), version, options)
    if before.flag(POLICY_FLAG) is None:
        return policy_source.judge(*policy_source.fetch(policy_source.DEFAULT_POLICY), version, options)
    host, there = installed.paths.policy, installed.policy
    if there is None:  # --policy-path moves the installed policy to another path
        host = node_checks.host_of(plane.root, before, POLICY_FLAG)
        there = _read(host, "policy")
    if there is None:
        raise RefusedError(
            f"{host}: the policy that the manifest names is not there",
            check="policy-missing",
            fix="name one with --policy",
        )
    return policy_source.judge(str(host), there.content, version, options)


def _edits(request: EnableRequest, installed: _InstalledFiles, chosen: SelectedPolicy) -> Iterator[FileEdit]:
    """Yield the files to install, where the installed ones differ."""
    paths, policy, webhook = installed.paths, installed.policy, installed.webhook
    if paths.policy is not None and (policy is None or policy.content != chosen.raw):
        yield FileEdit(Role.POLICY, paths.policy, policy, chosen.raw, source=chosen.source)
    if installed.prepared is not None and paths.webhook is not None:
        content = installed.prepared.content
        if webhook is None or webhook.content != content:
            yield FileEdit(Role.WEBHOOK, paths.webhook, webhook, content, source=str(request.webhook_config))


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
    """Does the server have to read the policy anew? Not if it runs one that decides the same.

    Where what it runs is not known (the file was touched since its start), it has to, if there is a server at all.
    """
    if running is not None:
        return not policy_source.decides_the_same(running, chosen.policy)
    return process is not None or any(edit.role is Role.POLICY for edit in edits)


def _overwrites(before: Manifest, edits: tuple[FileEdit, ...], request: EnableRequest) -> Iterator[Finding]:
    """Yield a warning for a file that ``baseline`` replaces although nobody named it."""
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
    """Return what the history says of it: the files installed, and the flags that change."""
    installed = [f"policy from {chosen.source}" if edit.role is Role.POLICY else edit.role.value for edit in edits]
    return ", ".join((*installed, *changed_flags(before, after))) or "load the policy anew"
