"""``rollback [ID]``: undo the last change, or ID and our later ones, byte for byte where it can be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.findings import Finding
from auditctl.manifest.plan import Plan, plan_between
from auditctl.manifest.pod import Manifest
from auditctl.manifest.three_way_merge import undo
from auditctl.node.apiserver.process import Process, listener
from auditctl.node.change import files
from auditctl.node.change.backup import kept_bytes, kept_name, saved_bytes
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.files import Snapshot
from auditctl.node.change.journal import FileRecord, Journal, Role, standing_changes
from auditctl.node.preflight import node_checks
from auditctl.node.preflight.node_checks import HostPaths
from auditctl.operations import policy_source
from auditctl.operations.change import preflight
from auditctl.operations.change.engine import run_change
from auditctl.operations.change.preflight import EditSubject
from auditctl.operations.change_model import (
    ChangeDecision,
    ChangeOptions,
    Deadline,
    PlannedChange,
    Proof,
    ProofFunction,
    Restart,
    nothing_more,
)
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence import receipt
from auditctl.operations.history import person
from auditctl.operations.level_changes import PolicyStep
from auditctl.operations.policy_source import apply_allowances
from auditctl.policy.load import load
from auditctl.policy.types import Policy
from auditctl.report import Outcome, Report
from auditctl.settings import POLICY_FLAG


def rollback(plane: ControlPlane, change_id: str | None, options: ChangeOptions) -> Report:
    """Undo the last change, or the named one and our later ones; return the report.

    Raises:
        RefusedError: no such change, or somebody else's edits are in the way; nothing was changed.
    """
    return run_change(plane, options, "rollback", lambda _: _decide(plane, change_id, options))


def _decide(plane: ControlPlane, change_id: str | None, options: ChangeOptions) -> ChangeDecision:
    """Read the node and decide what goes back; nothing is touched.

    Raises:
        RefusedError: no such change, or somebody else's edits are in the way.
    """
    undone = _chosen(plane, change_id)
    snapshot, before = plane.read_manifest()
    target = _manifest_before(plane, undone, before.document.text, snapshot.sha256)
    plan = plan_between(before, target)
    after = plan.target or before
    paths = node_checks.host_paths(plane.root, after)
    edits, left = _files_before(plane, undone, paths)
    process = listener(before.secure_port, before) if preflight.is_live(plane, before, options) else None
    ids = tuple(journal.id for journal in undone)
    policy = _policy(plane, after, paths, edits, options)
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
        prove=nothing_more if policy is None else _prover(plane, after, paths, policy),
    )
    checked = preflight.before_edit(plane, EditSubject.of(planned), process, options)
    return ChangeDecision(
        planned=planned,
        findings=apply_allowances((*left, *checked), options),
        conclude=lambda report: _naming(report, undone),
        notes=tuple(f"would undo {_words(journal)}" for journal in undone),
        policies=PolicyStep(_in_force(plane, before, process), policy),
    )


def _in_force(plane: ControlPlane, before: Manifest, process: Process | None) -> Policy | None:
    """Return the policy that the server has loaded; where that is not known, the one on disk."""
    running = receipt.loaded_policy(plane, before, process)
    host = node_checks.host_of(plane.root, before, POLICY_FLAG)
    if running is not None or host is None or not host.is_file():
        return running
    return load(files.read_following(host, "policy")).policy


def _words(journal: Journal) -> str:
    return f"change {journal.id} ({journal.command}, {journal.started}, by {person(journal)}): {journal.summary}"


def _naming(report: Report, undone: list[Journal]) -> Report:
    """Return the report with what was undone."""
    if report.outcome is not Outcome.CHANGED:
        return report
    return replace(report, lines=(*(f"undone: {_words(journal)}" for journal in undone), *report.lines))


def _chosen(plane: ControlPlane, change_id: str | None) -> list[Journal]:
    """Return the changes to undo, newest first; raise RefusedError where there is none of that id."""
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
    """Return the saved text where nobody else has edited the file; else the text without our lines.

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


class _Original(NamedTuple):
    """A file beside the manifest: its newest record, and the file before the oldest undone change.

    ``before`` None: there was none. ``source`` is where its bytes are kept.
    """

    newest: FileRecord
    before: Snapshot | None
    source: str = ""


def _files_before(
    plane: ControlPlane, undone: list[Journal], target: HostPaths
) -> tuple[tuple[FileEdit, ...], tuple[Finding, ...]]:
    """Return the edits that restore policy and webhook file, and a warning for each that is left.

    One that somebody else has changed since is left alone, and so is a webhook file that no manifest needs and of which
    no copy is kept. ``target`` are the audit files of the manifest that comes back.
    """
    edits, left = [], []
    for record, journal, oldest in _touched(undone):
        path = plane.root.host(record.path)
        there = files.read_if_there(path, record.role.value)
        digest = there.sha256 if there else None
        if digest not in (record.after, record.before):
            text = f"{path} was changed by somebody else since, so it is left alone"
            left.append(Finding.warning("changed-meanwhile", text))
            continue
        if digest == oldest.before:
            continue
        try:
            original = _original(plane, journal, record, oldest)
        except RefusedError as error:
            if error.check != "webhook-gone" or path == target.webhook:
                raise
            left.append(Finding.warning(error.check, error.message, error.fix))
            continue
        edits.append(_edit(path, there, original))
    return tuple(edits), tuple(left)


def _edit(path: Path, there: Snapshot | None, original: _Original) -> FileEdit:
    """Return the edit; a file that is gone comes back with the mode and owner that it had."""
    role, before = original.newest.role, original.before
    if before is None:
        return FileEdit(role=role, path=path, before=there, after=None, removed_last=True)
    return FileEdit(role=role, path=path, before=there, after=before.content, source=original.source, like=before)


def _touched(undone: list[Journal]) -> Iterator[tuple[FileRecord, Journal, FileRecord]]:
    """Yield for each file its newest record, and the change and the record that touched it first."""
    newest: dict[str, FileRecord] = {}
    oldest: dict[str, tuple[Journal, FileRecord]] = {}
    for journal in undone:
        for record in journal.files:
            if record.role is not Role.MANIFEST:
                newest.setdefault(record.path, record)
                oldest[record.path] = journal, record
    yield from ((record, *oldest[path]) for path, record in newest.items())


def _original(plane: ControlPlane, journal: Journal, newest: FileRecord, oldest: FileRecord) -> _Original:
    """Return the file as it was before that change.

    Raises:
        RefusedError: its bytes are gone, or are not those of the journal.
    """
    if oldest.before is None:
        return _Original(newest, None)
    if oldest.role is Role.WEBHOOK:
        path = plane.root.host(oldest.path)
        kept_bytes(path, journal.id, oldest.before)
        kept = kept_name(path, journal.id)
    else:
        saved_bytes(plane.state, journal, oldest, "before")
        kept = plane.state.saved(journal, oldest.role, "before")
    return _Original(newest, files.read(kept, "backup"), str(kept))


def _restart(plan: Plan, edits: tuple[FileEdit, ...]) -> Restart:
    if plan.changes:
        return Restart.REPLACE_POD
    return Restart.IN_PLACE if edits else Restart.NONE


def _policy(
    plane: ControlPlane, after: Manifest, paths: HostPaths, edits: tuple[FileEdit, ...], options: ChangeOptions
) -> Policy | None:
    """Return the policy of the old configuration, None where it has none.

    Raises:
        PolicyError: the server would refuse it (it had been edited in place since it was loaded).
    """
    host = paths.policy
    if host is None:
        return None
    raw = next((edit.after for edit in edits if edit.path == host), None)
    if raw is None and host.is_file():
        raw = files.read_regular(host, "policy")
    if raw is None:
        return None
    version = policy_source.version_of(plane, after, live=False)
    return policy_source.load_or_refuse(str(host), raw, version, options).policy


def _prover(plane: ControlPlane, after: Manifest, paths: HostPaths, policy: Policy) -> ProofFunction:
    """Return how the old configuration is proved."""

    def prove(process: Process, patience: Deadline) -> Proof:
        probe_plan = receipt.plan(plane, after, policy, None, log=paths.log)
        return receipt.prover(plane, after, probe_plan)(process, patience)

    return prove
