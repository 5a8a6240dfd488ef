"""``rollback [ID]``: undo the last change, or ID and our later ones, byte for byte where the file is still ours."""

from __future__ import annotations

from collections.abc import Iterator

from auditctl.errors import RefusedError
from auditctl.findings import Finding, Severity
from auditctl.manifest.plan import Plan, plan_between
from auditctl.manifest.pod import Manifest
from auditctl.manifest.three_way_merge import undo
from auditctl.node.apiserver.process import Process, listener
from auditctl.node.change import files
from auditctl.node.change.backup import kept_bytes, saved_bytes
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.journal import FileRecord, Journal, Role, standing_changes
from auditctl.node.preflight import node_checks
from auditctl.node.preflight.node_checks import HostPaths
from auditctl.operations import policy_source
from auditctl.operations.change import preflight
from auditctl.operations.change.engine import run_change
from auditctl.operations.change.preflight import EditSubject
from auditctl.operations.change_model import (
    ChangeOptions,
    Deadline,
    Decision,
    PlannedChange,
    Proof,
    ProofFunction,
    Restart,
    nothing_more,
)
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence import receipt
from auditctl.operations.policy_source import weigh
from auditctl.report import Report


def rollback(plane: ControlPlane, change_id: str | None, options: ChangeOptions) -> Report:
    """Undo the last change, or the named one and our later ones; return the report.

    Raises:
        RefusedError: no such change, or somebody else's edits are in the way; nothing was changed.
    """
    return run_change(plane, options, "rollback", lambda _: _decide(plane, change_id, options))


def _decide(plane: ControlPlane, change_id: str | None, options: ChangeOptions) -> Decision:
    """Read the node and decide what goes back; nothing is touched.

    Raises:
        RefusedError: no such change, or somebody else's edits are in the way.
    """
    undone = _chosen(plane, change_id)
    snapshot, before = plane.read_manifest()
    target = _manifest_before(plane, undone, before.document.text, snapshot.sha256)
    plan = plan_between(before, target)
    after = plan.target or before
    edits, left = _files_before(plane, undone)
    process = listener(before.secure_port) if preflight.is_live(plane, options) else None
    ids = tuple(journal.id for journal in undone)
    paths = node_checks.host_paths(plane.root, after)
    planned = PlannedChange(
        command="rollback",
        summary=f"undo {', '.join(ids)}",
        snapshot=snapshot,
        before=before,
        after=after,
        plan=plan,
        paths=paths,
        edits=edits,
        restart=_restart(plan, edits),
        undoes=ids,
        prove=_prover(plane, after, paths, edits, options),
    )
    checked = preflight.before_edit(plane, EditSubject.of(planned), process, options)
    return Decision(planned=planned, findings=weigh((*left, *checked), options))


def _chosen(plane: ControlPlane, change_id: str | None) -> list[Journal]:
    """The changes to undo, newest first."""
    stack = standing_changes(plane.state.journals())
    if not stack:
        raise RefusedError("no change of auditctl is left to undo on this node", check="no-change")
    ids = [journal.id for journal in stack]
    if change_id is None:
        return [stack[-1]]
    if change_id not in ids:
        raise RefusedError(
            f"{change_id}: no such change is left to undo on this node",
            check="no-change",
            fix=f"choose one of: {', '.join(ids)} (auditctl history)",
        )
    return stack[ids.index(change_id) :][::-1]


def _manifest_before(plane: ControlPlane, undone: list[Journal], text: str, digest: str) -> str:
    """The saved bytes where the file is still ours; else the text without our lines.

    Raises:
        ManifestError: somebody else's edit touches our lines.
    """
    current = text
    for journal in undone:
        before = saved_bytes(plane.state, journal, journal.manifest, "before")
        if digest == journal.manifest.after:
            current, digest = before.decode(), files.sha256(before)
        elif journal.manifest.before != journal.manifest.after:
            after = saved_bytes(plane.state, journal, journal.manifest, "after")
            current = undo(before.decode(), after.decode(), current)
            digest = files.sha256(current.encode())
    return current


def _files_before(plane: ControlPlane, undone: list[Journal]) -> tuple[tuple[FileEdit, ...], tuple[Finding, ...]]:
    """Policy and webhook file as they were; one that somebody else has changed since is left alone, and said so."""
    edits, left = [], []
    for newest, oldest_before in _touched(plane, undone):
        path = plane.root.host(newest.path)
        there = files.read_if_there(path, newest.role.value)
        digest = there.sha256 if there else None
        if digest not in (newest.after, newest.before):
            left.append(
                Finding(
                    "changed-meanwhile",
                    Severity.WARNING,
                    f"{path} was changed by somebody else since, so it is left alone",
                )
            )
        elif digest != (files.sha256(oldest_before) if oldest_before is not None else None):
            edits.append(FileEdit(newest.role, path, there, oldest_before, removed_last=oldest_before is None))
    return tuple(edits), tuple(left)


def _touched(plane: ControlPlane, undone: list[Journal]) -> Iterator[tuple[FileRecord, bytes | None]]:
    """Each file beside the manifest: its newest record, and its bytes before the oldest of these changes."""
    newest: dict[str, FileRecord] = {}
    oldest: dict[str, tuple[Journal, FileRecord]] = {}
    for journal in undone:
        for record in journal.files:
            if record.role is not Role.MANIFEST:
                newest.setdefault(record.path, record)
                oldest[record.path] = journal, record
    yield from ((record, _bytes_before(plane, *oldest[path])) for path, record in newest.items())


def _bytes_before(plane: ControlPlane, journal: Journal, record: FileRecord) -> bytes | None:
    if record.before is None:
        return None
    if record.role is Role.WEBHOOK:
        return kept_bytes(plane.root.host(record.path), journal.id, record.before)
    return saved_bytes(plane.state, journal, record, "before")


def _restart(plan: Plan, edits: tuple[FileEdit, ...]) -> Restart:
    if plan.changes:
        return Restart.REPLACE_POD
    return Restart.IN_PLACE if edits else Restart.NONE


def _prover(
    plane: ControlPlane, after: Manifest, paths: HostPaths, edits: tuple[FileEdit, ...], options: ChangeOptions
) -> ProofFunction:
    """Return how the old configuration is proved.

    Raises:
        PolicyError: its policy would be refused by the server (it had been edited in place since it was loaded).
    """
    host = paths.policy
    if host is None:
        return nothing_more
    raw = next((edit.after for edit in edits if edit.path == host), None)
    if raw is None and host.is_file():
        raw = files.read_following(host, "policy")
    if raw is None:
        return nothing_more
    version = policy_source.version_of(plane, after, live=False)
    policy = policy_source.judge(str(host), raw, version, options).policy

    def prove(process: Process, patience: Deadline) -> Proof:
        probe_plan = receipt.plan(plane, after, policy, None, log=paths.log)
        return receipt.prover(plane, after, probe_plan)(process, patience)

    return prove
