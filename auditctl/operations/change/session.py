"""Open a session on the node: lock it, defer signals, recover an interrupted change first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from auditctl.errors import AuditctlError, RefusedError, StrandedError
from auditctl.findings import Finding
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver import trial_binary
from auditctl.node.apiserver.process import Process, port_is_taken
from auditctl.node.change import backup, files, rejected_files, removal
from auditctl.node.change import change as changes
from auditctl.node.change.change import Change
from auditctl.node.change.journal import Journal, Recovery, Step, recovery, standing
from auditctl.node.change.lock import lock
from auditctl.node.change.signals import deferred
from auditctl.node.change.undo_journal import returned_at
from auditctl.node.kubelet import kubelet_log
from auditctl.node.kubelet.restart import OutgoingProcess, Restarted, RestartTarget, RestartWaiter, end_in_place
from auditctl.operations.change.preflight import check_places
from auditctl.operations.change.restart_strategy import drain_seconds, serving
from auditctl.operations.change.standby_remains import end_left_standby
from auditctl.operations.change.turn import give_back_left
from auditctl.operations.change.watchdog_notice import notice
from auditctl.operations.change_model import ChangeOptions, Deadline, Restart, Session
from auditctl.operations.controlplane import ControlPlane, damaged

_RECOVERY_SECONDS = 120.0


@contextmanager
def session(plane: ControlPlane, command: str) -> Iterator[Session]:
    """Yield a session; an interrupted change is finished or undone before.

    Raises:
        RefusedError: not root, the lock is held, the state directory is misplaced or cannot be written.
        StrandedError: an interrupted change could be neither finished nor undone.
    """
    check_places(plane)
    plane.state.prepare()
    with (
        lock(plane.state, command, plane.manifest_path.parent) as locks,
        deferred(plane.progress.step) as interrupted,
    ):
        plane.state.sweep()
        trial_binary.sweep_folders()
        _refuse_unreadable(plane)
        deadline = Deadline(interrupted=interrupted)
        recovered = (*notice(plane), *recover_all(plane, deadline), *end_left_standby(plane))
        try:
            yield Session(plane, deadline, recovered, locks)
        except AuditctlError as error:
            error.earlier = recovered  # "nothing was changed" must not hide what the recovery did
            raise
        finally:
            backup.settle(plane.state, plane.root)


def _refuse_unreadable(plane: ControlPlane) -> None:
    """Raise RefusedError for a record that cannot be read: its change may be open."""
    for finding in damaged(plane):
        raise RefusedError(finding.message, check=finding.check, fix=finding.fix)


def recover_all(plane: ControlPlane, deadline: Deadline) -> tuple[Finding, ...]:
    """Finish or undo every interrupted change, the newest first; return a warning for each."""
    findings = []
    for journal in reversed(plane.state.open_changes()):
        plane.progress.step(
            f"change {journal.id} ({journal.command}) was interrupted at {journal.step.value}: recovering"
        )
        outcome = _recover(plane, journal, deadline)
        give_back_left(plane, journal)
        findings.append(
            Finding.warning(
                "interrupted-change",
                f"change {journal.id} ({journal.command}, {journal.started}) had been interrupted: {outcome}",
            )
        )
    return tuple(findings)


def _recover(plane: ControlPlane, journal: Journal, deadline: Deadline) -> str:
    change = Change(state=plane.state, root=plane.root, clock=plane.clock, journal=journal)
    removal.sweep(change)
    stands = standing(journal.manifest, files.digest(plane.manifest_path))
    match recovery(journal, stands):
        case Recovery.NOTHING:
            return "nothing to do"
        case Recovery.REMOVE:
            failed = removal.remove_last(change)
            change.try_mark(Step.DONE, "finished by the next run")
            return "; ".join(["its removals were finished", *failed])
        case Recovery.LEAVE:
            change.try_mark(Step.ABANDONED, "the manifest was changed by somebody else")
            return "somebody else has changed the manifest since, so it was left alone"
        case Recovery.PUT_BACK:
            returned = returned_at(plane.root, plane.clock, journal)
            changes.put_back(change)
            return _confirm(plane, change, "it was undone", deadline, returned)
        case Recovery.FINISH:
            return _finish(plane, change, deadline)


def _finish(plane: ControlPlane, change: Change, deadline: Deadline) -> str:
    """Keep the new manifest if an API server is ready with it, else undo the change; return the outcome."""
    failed: list[str] = []
    if _serves_with_it(plane, change.journal, deadline):
        if any(record.removed_last for record in change.journal.files):
            change.try_mark(Step.REMOVING)
            failed = removal.remove_last(change)
            change.try_mark(Step.DONE, "finished by the next run")
        else:
            change.try_mark(
                Step.UNPROVED, "kept by the next run: the API server is ready with it; no receipt was taken"
            )
        text = "it was kept, because the API server is ready with its new configuration (run `auditctl verify` for a receipt)"
        return "; ".join([text, *failed])
    changes.put_back(change)
    return _confirm(plane, change, "the API server is not ready with its new configuration, so it was undone", deadline)


def _serves_with_it(plane: ControlPlane, journal: Journal, deadline: Deadline) -> bool:
    """Return whether the new configuration gets ready; begin a restart in place if the run had not."""
    if journal.restart == Restart.NONE.name:
        return True
    manifest, replaced_at = plane.read_manifest()[1], renamed_at(plane, journal)
    process = serving(manifest) if journal.restart == Restart.IN_PLACE.name else None
    is_previous = process is not None and replaced_at is not None and process.started < replaced_at
    return serves(plane, manifest, replaced_at, deadline, ends=process if is_previous else None)


def _confirm(plane: ControlPlane, change: Change, text: str, deadline: Deadline, returned: float | None = None) -> str:
    """Wait until the old configuration is ready, mark the change undone, and return the outcome.

    Nobody says "undone" before it is confirmed.

    ``returned`` is since when its files stand again, where an earlier run had come so far (`returned_at`).
    """
    kept = rejected_files.kept(plane.root, change.journal).values()
    text = "; ".join([text, *(f"what had been edited is {path}" for path in kept)])
    replaced_at = renamed_at(plane, change.journal)
    if replaced_at is None:
        change.try_mark(Step.UNDONE, "by the next run")
        return f"{text}; its manifest had not been put in place"
    if change.journal.restart == Restart.NONE.name:
        change.try_mark(Step.UNDONE, "by the next run")
        return f"{text}; no restart was needed"
    manifest = plane.read_manifest()[1]
    now = serving(manifest) if change.journal.restart == Restart.IN_PLACE.name else None
    since = plane.clock.boot() if returned is None else returned
    has_loaded_it = now is not None and replaced_at <= now.started < since
    first = first_renamed_at(plane, change.journal)
    if serves(plane, manifest, since, deadline, previous_until=first, ends=now if has_loaded_it else None):
        removal.clear_up(change)
        change.try_mark(Step.UNDONE, "by the next run")
        return f"{text}; the API server is ready with the old configuration"
    if not plane.root.is_host:
        change.try_mark(Step.UNDONE, "by the next run; serving not confirmed under --rootfs")
        return f"{text}; whether the API server is ready with it is not known"
    if _nobody_starts_it(plane, plane.read_manifest()[1]):
        change.try_mark(Step.UNCONFIRMED, "by the next run, before the kubelet ran")
        return f"{text}; no kubelet runs, so the API server has not started with it yet"
    change.try_mark(Step.UNCONFIRMED, "by the next run")
    raise StrandedError(
        f"change {change.journal.id}: {text}; but the API server is not ready with it; the saved manifest is {change.backup}",
        check="not-serving",
        fix=f"tail -n 20 {plane.root.host('/var/log/pods')}/*kube-apiserver*/*/*.log",
    )


def serves(
    plane: ControlPlane,
    manifest: Manifest,
    started_since: float | None,
    deadline: Deadline,
    *,
    previous_until: float | None = None,
    ends: Process | None = None,
) -> bool:
    """Return whether an API server with this manifest's command line gets ready within a bounded wait.

    ``ends`` is told to end first, so that the kubelet restarts its container in place.

    Raises:
        InterruptionError: the user asked to stop; the change stays open, and the next run goes on with it.
    """
    if _nobody_starts_it(plane, manifest):
        return False
    try:
        endpoint = plane.endpoint(manifest)
    except RefusedError:
        return False  # a folder whose server is elsewhere, if anywhere
    since = started_since if started_since is not None else plane.clock.boot()
    expected = RestartTarget(
        command=manifest.command, renamed_at=since, endpoint=endpoint, credentials=plane.credentials()
    )
    expected = replace(expected, or_started_before=previous_until)
    watch = RestartWaiter.begin(plane.root, manifest, plane.clock, plane.progress.waiting, deadline.interrupted)
    # one that nobody starts is not waited for long: a lab folder, a node whose kubelet is stopped
    seconds = _RECOVERY_SECONDS if plane.root.is_host else _RECOVERY_SECONDS / 4
    outgoing = OutgoingProcess.hold(ends)
    drain = drain_seconds(plane, manifest, ChangeOptions(), ends)[0]
    if ends is not None:
        end_in_place(ends)
    try:
        return isinstance(watch.wait(expected, timeout=seconds, drain=drain, outgoing=outgoing), Restarted)
    finally:
        if outgoing is not None:
            outgoing.release()


def _nobody_starts_it(plane: ControlPlane, manifest: Manifest) -> bool:
    """Return whether the host runs neither kubelet nor API server, as at boot before the kubelet starts.

    What was not proved before the machine went down is undone then: the old configuration is known to serve.
    """
    return plane.root.is_host and not port_is_taken(manifest.secure_port) and kubelet_log.find(plane.root) is None


def renamed_at(plane: ControlPlane, journal: Journal) -> float | None:
    """Return when the manifest was replaced, in seconds of this boot's clock; None if it was not.

    The wall clock may have been set since, so the journal has the boot and its clock; another boot is long ago. Of two
    renames it is the last one that was begun.
    """
    renames = _renames(plane, journal)
    return renames[-1] if renames else None


def first_renamed_at(plane: ControlPlane, journal: Journal) -> float | None:
    """Return when the first rename was, which ends the old Pod; else as `renamed_at`."""
    renames = _renames(plane, journal)
    return renames[0] if renames else None


def _renames(plane: ControlPlane, journal: Journal) -> list[float]:
    named = (Step.ENDING.value, Step.REPLACING.value)
    notes = [note.partition(", ")[0].partition(" ") for step, _, note in journal.steps if step in named]
    return [float(seconds) if boot == plane.clock.boot_id() else 0.0 for boot, _, seconds in notes]
