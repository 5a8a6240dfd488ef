"""Decide the one safe repair of a fault; the change engine performs it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import PolicyError
from auditctl.findings import Finding, Severity
from auditctl.manifest.plan import Plan, plan_annotation
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.process import Process
from auditctl.node.change import files
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.files import Snapshot
from auditctl.node.change.journal import Role
from auditctl.node.preflight import node_checks
from auditctl.node.preflight.node_checks import HostPaths
from auditctl.operations import policy_source
from auditctl.operations.change import preflight
from auditctl.operations.change.preflight import EditSubject
from auditctl.operations.change_model import ChangeOptions, Deadline, PlannedChange, Proof, ProofFunction, Restart
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.doctor import stray
from auditctl.operations.doctor.collect import Observations
from auditctl.operations.evidence import last_known_good, receipt
from auditctl.operations.policy_source import apply_allowances
from auditctl.policy.convert import convert
from auditctl.policy.load import load

# A repair is not refused because of what it mends.
_BROKEN_ANYWAY = ("apiserver-ready", "drift")


class Repair(NamedTuple):
    """One repair: its purpose as a phrase, and the planned change (None: that of ``restart``).

    ``rejected`` is the text that a last known good file replaces: it is kept beside it for its author. ``more``: it is
    one of several of its kind, and nothing can be waited for before the last.
    """

    purpose: str
    planned: PlannedChange | None
    findings: tuple[Finding, ...] = ()
    rejected: FileEdit | None = None
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _RepairTarget:
    plane: ControlPlane
    snapshot: Snapshot
    manifest: Manifest
    paths: HostPaths
    process: Process | None
    observations: Observations
    options: ChangeOptions

    @property
    def version(self) -> tuple[int, int]:
        return policy_source.version_of(self.plane, self.manifest, live=False)

    @property
    def is_serving(self) -> bool:
        return self.process is not None and self.observations.evidence.as_manifest

    def policy(self) -> Snapshot | None:
        """Return the installed policy, None where there is none."""
        host = self.paths.policy
        return files.read_if_there(host, "policy") if host is not None and not host.is_dir() else None


def repair(plane: ControlPlane, observations: Observations, options: ChangeOptions) -> Repair | None:
    """Return the first repair to perform, None where nothing has one safe repair.

    Raises:
        RefusedError: there is one, and something else stands in its way.
    """
    if observations.snapshot is None or observations.manifest is None:
        return None
    manifest = observations.manifest
    node = _RepairTarget(
        plane=plane,
        snapshot=observations.snapshot,
        manifest=manifest,
        paths=node_checks.host_paths(plane.root, manifest),
        process=observations.evidence.process,
        observations=observations,
        options=options,
    )
    if (stray_repair := _stray(node)) is not None:
        return stray_repair
    policy = node.policy()
    for find in (_policy, _log_directory, _dead_log):
        if (chosen_repair := find(node, policy)) is not None:
            return chosen_repair
    return _not_loaded(node)


def _stray(node: _RepairTarget) -> Repair | None:
    strays = node_checks.strays(node.plane.root, node.plane.manifest_path, node.manifest)
    if not strays:
        return None
    for path in strays:
        files.read(path, "manifest")  # one that cannot be moved is reported before another one is moved
    planned = stray.removal(node.plane, strays[0], node.snapshot, node.manifest, node.process, _receipt(node))
    return Repair(planned.summary, planned, _weighed(node, planned, ("stray-manifests",)), more=len(strays) > 1)


def _policy(node: _RepairTarget, there: Snapshot | None) -> Repair | None:
    """Repair a policy that the next start would die of, where one is known to be right."""
    host = node.paths.policy
    if host is None or host.is_dir():
        return None
    if there is not None and load(there.content, node.version).policy is not None:
        return None
    known = _right_policy(node, host, there)
    if known is None:
        return None
    purpose, content, is_rejected = known
    edit = FileEdit(role=Role.POLICY, path=host, before=there, after=content)
    running = last_known_good.loaded(node.plane, node.manifest, node.process)
    planned = _loading(node, edit, purpose, is_loaded=running == content and node.is_serving)
    rejected = edit if is_rejected and there is not None else None
    return Repair(purpose, planned, _weighed(node, planned), rejected)


def _right_policy(node: _RepairTarget, host: Path, there: Snapshot | None) -> tuple[str, bytes, bool] | None:
    """Return the purpose, the text, and whether the user's own text is set aside for it."""
    if there is not None:
        try:
            converted = convert(there.content, str(host)).text
        except PolicyError:
            converted = there.content
        if load(converted, node.version).policy is not None:
            return f"write {host} in audit.k8s.io/v1", converted, False
    last_good = last_known_good.recall(node.plane, Role.POLICY)
    if last_good is None or load(last_good, node.version).policy is None:
        return None
    return f"put the last known good policy back to {host}", last_good, True


def _loading(node: _RepairTarget, edit: FileEdit, purpose: str, *, is_loaded: bool) -> PlannedChange:
    """Return the change that installs the policy, and loads it where the server has another one."""
    assert edit.after is not None  # noqa: S101 - a repair never removes the policy
    plan, kind = _restarting(node, files.sha256(edit.after))
    if is_loaded:
        plan, kind = Plan(plan.before, plan.before), Restart.NONE
    after = plan.target or node.manifest
    policy = load(edit.after, node.version).policy
    assert policy is not None  # noqa: S101 - the caller has loaded it
    probe_plan = receipt.plan(node.plane, after, policy, None, log=node.paths.log)
    return PlannedChange(
        command="doctor",
        summary=purpose,
        snapshot=node.snapshot,
        before=node.manifest,
        after=after,
        plan=plan,
        paths=node.paths,
        edits=(edit,),
        directories=node.paths.log_directories,
        restart=kind,
        prove=receipt.prover(node.plane, after, probe_plan),
    )


def _restarting(node: _RepairTarget, sha256: str) -> tuple[Plan, Restart]:
    """Return how to restart: by a new Pod, which has no back-off, where our annotation can change."""
    plan = plan_annotation(node.manifest, sha256)
    return plan, Restart.REPLACE_POD if plan.changes else Restart.IN_PLACE


def _log_directory(node: _RepairTarget, policy: Snapshot | None) -> Repair | None:
    """Repair a missing log directory: servers before 1.25 and mounts of type Directory do not make it."""
    missing = [folder for folder in node.paths.log_directories if not folder.exists()]
    if not missing or node.paths.policy is None:
        return None
    return _anew(node, policy, f"make {missing[0]} again", tuple(missing))


def _dead_log(node: _RepairTarget, policy: Snapshot | None) -> Repair | None:
    """Repair a server that writes to a removed or renamed log: only a restart opens the right one."""
    if not node.is_serving or not any(finding.check == "dead-log" for finding in node.observations.findings):
        return None
    return _anew(node, policy, "restart the API server, so that it reopens its log")


def _anew(
    node: _RepairTarget, there: Snapshot | None, purpose: str, directories: tuple[Path, ...] = ()
) -> Repair | None:
    """Return the repair that starts a new container of the same manifest."""
    policy = load(there.content, node.version).policy if there is not None else None
    if there is None or policy is None:
        return None
    text = node.manifest.document.text
    plan, kind = (Plan(text, text), Restart.IN_PLACE) if node.is_serving else _restarting(node, there.sha256)
    planned = PlannedChange(
        command="doctor",
        summary=purpose,
        snapshot=node.snapshot,
        before=node.manifest,
        after=plan.target or node.manifest,
        plan=plan,
        paths=node.paths,
        directories=directories,
        restart=kind,
        prove=_receipt(node),
    )
    return Repair(purpose, planned, _weighed(node, planned))


def _not_loaded(node: _RepairTarget) -> Repair | None:
    """Repair a good policy that was edited in place: ``restart`` loads it."""
    if node.is_serving and any(finding.check == "policy-not-loaded" for finding in node.observations.findings):
        return Repair("load the policy that is on disk", None)
    return None


def _receipt(node: _RepairTarget) -> ProofFunction:
    """Return the proof by a receipt where auditing is on; else a server that is ready is proof enough."""

    def prove(process: Process, patience: Deadline) -> Proof:
        there = node.policy()
        policy = load(there.content, node.version).policy if there is not None else None
        if policy is None:
            return Proof()
        probe_plan = receipt.plan(node.plane, node.manifest, policy, None, log=node.paths.log)
        return receipt.prover(node.plane, node.manifest, probe_plan)(process, patience)

    return prove


def _weighed(node: _RepairTarget, planned: PlannedChange, mended: tuple[str, ...] = ()) -> tuple[Finding, ...]:
    """Return the findings about the repair, but for the very faults that it mends.

    Raises:
        RefusedError: something else is in the way.
    """
    subject = replace(EditSubject.of(planned), before=planned.after)
    findings = preflight.before_edit(node.plane, subject, node.process, node.options)
    passed = (*_BROKEN_ANYWAY, *mended)
    weighed = apply_allowances((finding for finding in findings if finding.check not in passed), node.options)
    return tuple(finding for finding in weighed if finding.severity is not Severity.INFO)
