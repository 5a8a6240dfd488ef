"""What has one safe repair: decided here, performed by the same change and undo as every other command."""

from __future__ import annotations

from collections.abc import Iterator
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
from auditctl.node.preflight import node_checks, other_manifests
from auditctl.operations import policy_source
from auditctl.operations.change import preflight as change_preflight
from auditctl.operations.change_model import ChangeOptions, Deadline, PlannedChange, Proof, ProofFunction, Restart
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.doctor import stray
from auditctl.operations.doctor.collect import Observations
from auditctl.operations.evidence import last_known_good, receipt
from auditctl.operations.policy_source import weigh
from auditctl.policy.convert import convert
from auditctl.policy.load import load
from auditctl.settings import LOG_FLAG, POLICY_FLAG

# what a repair is there for cannot keep it from being done
_BROKEN_ANYWAY = ("apiserver-ready", "drift")


class Repair(NamedTuple):
    """One repair: what it does in a sentence, its work (None: ``restart``'s own), and what was said beforehand.

    ``rejected`` is the text that a last known good file replaces: it is kept beside it for its author. ``more``: it is
    one of several of its kind, and nothing can be waited for before the last.
    """

    what: str
    work: PlannedChange | None
    findings: tuple[Finding, ...] = ()
    rejected: FileEdit | None = None
    more: bool = False


class _RepairTarget(NamedTuple):
    plane: ControlPlane
    snapshot: Snapshot
    manifest: Manifest
    process: Process | None
    looked: Observations
    how: ChangeOptions

    @property
    def version(self) -> tuple[int, int]:
        return policy_source.version_of(self.plane, self.manifest, live=False)

    @property
    def serves(self) -> bool:
        return self.process is not None and self.looked.evidence.as_manifest


def repair(plane: ControlPlane, looked: Observations, how: ChangeOptions) -> Repair | None:
    """The first thing to repair, None where nothing has one safe repair.

    Raises:
        RefusedError: there is one, and something else stands in its way.
    """
    if looked.snapshot is None or looked.manifest is None:
        return None
    node = _RepairTarget(plane, looked.snapshot, looked.manifest, looked.evidence.process, looked, how)
    for find in (_stray, _policy, _log_directory, _dead_log, _not_loaded):
        if (found := find(node)) is not None:
            return found
    return None


def _stray(node: _RepairTarget) -> Repair | None:
    strays = other_manifests.strays(node.plane.manifest_path, node.manifest)
    if not strays:
        return None
    for path in strays:
        files.read(path, "manifest")  # one that cannot be moved is told before another is
    work = stray.removal(node.plane, strays[0], node.snapshot, node.manifest, node.process, _receipt(node))
    return Repair(work.summary, work, _weighed(node, work, ("stray-manifests",)), more=len(strays) > 1)


def _policy(node: _RepairTarget) -> Repair | None:
    """A policy that the next start would die of, and one that is known to be right."""
    host = node_checks.host_of(node.plane.root, node.manifest, POLICY_FLAG)
    if host is None or host.is_dir():
        return None
    there = files.read_if_there(host, "policy")
    if there is not None and load(there.content, node.version).policy is not None:
        return None
    known = _right_policy(node, host, there)
    if known is None:
        return None
    what, content, is_rejected = known
    edit = FileEdit(Role.POLICY, host, there, content)
    running = last_known_good.loaded(node.plane, node.manifest, node.process)
    work = _loading(node, edit, what, is_loaded=running == content and node.serves)
    rejected = edit if is_rejected and there is not None else None
    return Repair(what, work, _weighed(node, work), rejected)


def _right_policy(node: _RepairTarget, host: Path, there: Snapshot | None) -> tuple[str, bytes, bool] | None:
    """What is done, the text, and whether the user's own text is set aside for it."""
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


def _loading(node: _RepairTarget, edit: FileEdit, what: str, *, is_loaded: bool) -> PlannedChange:
    """Install it, and have it loaded where the server does not run with it already."""
    assert edit.after is not None  # noqa: S101 - a repair never removes the policy
    plan, kind = _restarting(node, files.sha256(edit.after))
    if is_loaded:
        plan, kind = Plan(plan.before, plan.before), Restart.NONE
    after = plan.target or node.manifest
    policy = load(edit.after, node.version).policy
    assert policy is not None  # noqa: S101 - the caller has loaded it
    planned = receipt.plan(node.plane, after, policy, None)
    return PlannedChange(
        "doctor",
        what,
        node.snapshot,
        node.manifest,
        after,
        plan,
        (edit,),
        _log_directories(node),
        restart=kind,
        prove=receipt.prover(node.plane, after, planned),
    )


def _restarting(node: _RepairTarget, sha256: str) -> tuple[Plan, Restart]:
    """A new Pod has no back-off; where our annotation says the same already, the container alone."""
    plan = plan_annotation(node.manifest, sha256)
    return plan, Restart.REPLACE_POD if plan.changes else Restart.IN_PLACE


def _log_directories(node: _RepairTarget) -> tuple[Path, ...]:
    host = node_checks.host_of(node.plane.root, node.manifest, LOG_FLAG)
    return (host.parent,) if host is not None else ()


def _log_directory(node: _RepairTarget) -> Repair | None:
    """It is gone: servers before 1.25, and mounts of type Directory, do not make it."""
    missing = [folder for folder in _log_directories(node) if not folder.exists()]
    if not missing or not node.manifest.flag(POLICY_FLAG):
        return None
    return _anew(node, f"make {missing[0]} again", tuple(missing))


def _dead_log(node: _RepairTarget) -> Repair | None:
    """The server holds a file that is no longer the log: only a restart makes it open the right one."""
    if not node.serves or not any(finding.check == "dead-log" for finding in node.looked.findings):
        return None
    return _anew(node, "restart the API server, so that it opens its log anew")


def _anew(node: _RepairTarget, what: str, directories: tuple[Path, ...] = ()) -> Repair | None:
    """The same manifest, a new container."""
    host = node_checks.host_of(node.plane.root, node.manifest, POLICY_FLAG)
    there = files.read_if_there(host, "policy") if host is not None and not host.is_dir() else None
    if there is None or load(there.content, node.version).policy is None:
        return None
    text = node.manifest.document.text
    plan, kind = (Plan(text, text), Restart.IN_PLACE) if node.serves else _restarting(node, there.sha256)
    after = plan.target or node.manifest
    work = PlannedChange(
        "doctor",
        what,
        node.snapshot,
        node.manifest,
        after,
        plan,
        (),
        directories,
        restart=kind,
        prove=_receipt(node),
    )
    return Repair(what, work, _weighed(node, work))


def _not_loaded(node: _RepairTarget) -> Repair | None:
    """A good policy was edited in place: ``restart`` loads it."""
    if node.serves and any(finding.check == "policy-not-loaded" for finding in node.looked.findings):
        return Repair("load the policy that stands on disk", None)
    return None


def _receipt(node: _RepairTarget) -> ProofFunction:
    """Take a receipt where auditing is on; else serving is proof enough."""

    def prove(process: Process, patience: Deadline) -> Proof:
        host = node_checks.host_of(node.plane.root, node.manifest, POLICY_FLAG)
        there = files.read_if_there(host, "policy") if host is not None and not host.is_dir() else None
        policy = load(there.content, node.version).policy if there is not None else None
        if policy is None:
            return Proof()
        planned = receipt.plan(node.plane, node.manifest, policy, None)
        return receipt.prover(node.plane, node.manifest, planned)(process, patience)

    return prove


def _weighed(node: _RepairTarget, work: PlannedChange, passed: tuple[str, ...] = ()) -> tuple[Finding, ...]:
    """What is in the way; the very faults that are being repaired are not.

    Raises:
        RefusedError: something is.
    """
    written = [edit.role for edit in work.edits]
    found = change_preflight.before_edit(node.plane, work.after, work.after, written, node.process, node.how)
    mended = (*_BROKEN_ANYWAY, *passed)
    return tuple(_told(weigh((finding for finding in found if finding.check not in mended), node.how)))


def _told(findings: tuple[Finding, ...]) -> Iterator[Finding]:
    yield from (finding for finding in findings if finding.severity is not Severity.INFO)
