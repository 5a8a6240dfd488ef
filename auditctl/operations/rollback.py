"""``rollback [ID]``: undo the last change, or ID and our later ones, byte for byte where the file is still ours."""

from __future__ import annotations

from collections.abc import Iterator

from auditctl.errors import RefusedError
from auditctl.findings import Finding, Severity
from auditctl.manifest.merge import undo
from auditctl.manifest.plan import Plan, plan_between
from auditctl.manifest.pod import Manifest
from auditctl.node import files, preflight
from auditctl.node.backup import kept_bytes, saved_bytes
from auditctl.node.fileedit import FileEdit
from auditctl.node.journal import FileRecord, Journal, Role, standing_changes
from auditctl.node.process import Process, listener
from auditctl.operations import checks, policies, proof
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.outcome import dry_run_report, performed_report
from auditctl.operations.policies import weigh
from auditctl.operations.work import How, Patience, Proof, Prover, Restart, Work, nothing_more
from auditctl.report import Report
from auditctl.settings import POLICY_FLAG


def rollback(plane: ControlPlane, change_id: str | None, how: How) -> Report:
    """Undo.

    Raises:
        RefusedError: no such change, or somebody else's edits are in the way.
    """
    if how.dry_run:
        checks.check_places(plane)
        work, findings = _decide(plane, change_id, how)
        return dry_run_report(plane, work, findings, nothing=False)
    from auditctl.operations.session import session

    with session(plane, "rollback") as opened:
        work, findings = _decide(plane, change_id, how)
        from auditctl.operations.perform import perform

        return performed_report(plane, work, (*opened.recovered, *findings), perform(opened, work, how))


def _decide(plane: ControlPlane, change_id: str | None, how: How) -> tuple[Work, tuple[Finding, ...]]:
    undone = _chosen(plane, change_id)
    snapshot, before = plane.read_manifest()
    target = _manifest_before(plane, undone, before.document.text, snapshot.sha256)
    plan = plan_between(before, target)
    after = plan.target or before
    edits, left = _files_before(plane, undone)
    process = listener(before.secure_port, before) if checks.is_live(plane, how) else None
    roles = [edit.role for edit in edits if edit.after is not None]
    found = weigh((*left, *checks.before_edit(plane, before, after, roles, process, how)), how)
    ids = tuple(journal.id for journal in undone)
    work = Work(
        "rollback",
        f"undo {', '.join(ids)}",
        snapshot,
        before,
        after,
        plan,
        edits,
        restart=_restart(plan, edits),
        undoes=ids,
        prove=_prover(plane, after, edits, how),
    )
    return work, found


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


def _prover(plane: ControlPlane, after: Manifest, edits: tuple[FileEdit, ...], how: How) -> Prover:
    """How the old configuration is proved.

    Raises:
        PolicyError: its policy would be refused by the server (it had been edited in place since it was loaded).
    """
    host = preflight.host_of(plane.root, after, POLICY_FLAG)
    if host is None:
        return nothing_more
    raw = next((edit.after for edit in edits if edit.path == host), None)
    if raw is None and host.is_file():
        raw = files.read_regular(host, "policy")
    if raw is None:
        return nothing_more
    policy = policies.judge(str(host), raw, policies.version_of(plane, after, live=False), how).policy

    def prove(process: Process, patience: Patience) -> Proof:
        return proof.prover(plane, after, proof.plan(plane, after, policy, None))(process, patience)

    return prove
