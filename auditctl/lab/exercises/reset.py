"""The way back from an exercise: files first, then the manifest by one rename, the API server, and what is left over last.

Needs no API server, nor anything that the learner may have broken; done twice it does nothing the second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import AuditctlError, RefusedError
from auditctl.findings import Severity
from auditctl.lab.exercises.outgoing_server import OutgoingServer
from auditctl.lab.exercises.snapshot import NodeSnapshot, SnapshotEntry
from auditctl.lab.exercises.store import ExercisePhase, ExerciseRecord
from auditctl.lab.exercises.target_node import PracticeNode
from auditctl.lab.node.injected_faults import clear
from auditctl.node.apiserver.client import Readiness
from auditctl.node.apiserver.process import Process, listener
from auditctl.node.change import files
from auditctl.node.change.lock import lock
from auditctl.node.kubelet.restart import end_in_place
from auditctl.node.preflight import strict_modes
from auditctl.operations.controlplane import ControlPlane

_AUTHORITY = "/etc/kubernetes/pki/ca.crt"
_POLL_SECONDS = 0.1
_TELL_SECONDS = 5.0
_GRACE_SECONDS = 0.05  # /proc counts starts in ticks


class ResetResult(NamedTuple):
    """How many paths were given back or taken away, and whether the API server serves as it did."""

    paths: int
    serves: bool


def give_back(ground: PracticeNode, record: ExerciseRecord, timeout_seconds: float) -> ResetResult:
    """Make the node what it was, and forget the exercise.

    Raises:
        OSError: a file could not be given back; the exercise is still open, and the next reset goes on.
        RefusedError: what was kept cannot be read, or would be given back outside of the node.
    """
    kept = ground.desk.kept()
    kept.refuse_links()
    _refuse_another_node(ground, kept)
    with _settled(ground.plane, timeout_seconds):
        return _given_back(ground, record, kept, timeout_seconds)


def _refuse_another_node(ground: PracticeNode, kept: NodeSnapshot) -> None:
    """Refuse a node that was set up anew: its authority is another, so the old files would break it.

    Raises:
        RefusedError: it has.
    """
    entry = next((entry for entry in kept.entries if entry.path == _AUTHORITY), None)
    now = files.digest(ground.plane.root.host(_AUTHORITY))
    if entry is not None and now is not None and now != files.sha256(kept.content(entry)):
        folder = ground.desk.folder
        text = f"{folder} was kept of another node: {_AUTHORITY} is not the one of then, so this one was set up anew"
        raise RefusedError(text, check="lab-another-node", fix=f"if that is so: rm -r {folder}")


@contextmanager
def _settled(plane: ControlPlane, timeout_seconds: float) -> Iterator[None]:
    """Hold auditctl's own lock, once the watchdog of a command that was killed has done its work.

    Raises:
        RefusedError: it is held for longer than that.
    """
    until = plane.clock.monotonic() + timeout_seconds
    for finding in strict_modes.state_directory(plane.root, plane.state.path):
        if finding.severity is Severity.ERROR:
            raise RefusedError(finding.message, check=finding.check, fix=finding.fix)
    plane.state.prepare()
    while plane.state.is_locked() and plane.clock.monotonic() < until:
        plane.clock.sleep(_POLL_SECONDS)
    with lock(plane.state, "lab reset", plane.manifest_path.parent):
        yield


def _given_back(
    ground: PracticeNode, record: ExerciseRecord, kept: NodeSnapshot, timeout_seconds: float
) -> ResetResult:
    desk, plane = ground.desk, ground.plane
    record = desk.to(record, ExercisePhase.RESETTING)
    if ground.layout is not None:
        clear(ground.layout)  # what a switch broke no file mends; one that was on before comes back with the files
    manifests = str(Path(plane.manifest).parent)
    leaving = OutgoingServer(record.port)
    count = _files(kept, lambda path: not _inside(path, manifests) and not _inside(path, plane.state_dir))
    count += _manifests(kept, plane, manifests)
    with leaving:
        serves = _serves_again(plane, record, leaving, timeout_seconds)
    count += _left_over(kept)
    count += _files(kept, lambda _: True)  # the records of auditctl last, and what has gone with a folder
    desk.end()
    return ResetResult(count, serves)


def _files(kept: NodeSnapshot, selected: Callable[[str], bool]) -> int:
    changed = [entry for entry in kept.changed() if selected(entry.path)]
    for entry in changed:
        kept.give_back(entry)
    return len(changed)


def _manifests(kept: NodeSnapshot, plane: ControlPlane, manifests: str) -> int:
    """Return what the kubelet reads. Of two files of one Pod, taking one away takes the Pod: so the manifest comes after it,
    by a rename that the kubelet sees even where the bytes are the same.
    """
    strays = [path for path in kept.extra() if _inside(plane.root.node(path), manifests)]
    for path in strays:
        kept.take_away(path)
    changed: list[SnapshotEntry] = [entry for entry in kept.changed() if _inside(entry.path, manifests)]
    for entry in changed:
        kept.give_back(entry)
    if strays and all(entry.path != plane.manifest for entry in changed):
        with suppress(AuditctlError):
            there = files.read(plane.manifest_path, "manifest")
            files.replace_file(plane.manifest_path, there.content, there)
    return len(strays) + len(changed)


def _left_over(kept: NodeSnapshot) -> int:
    """Remove what was made since the snapshot, now that no server holds it; return how much it was."""
    extra = kept.extra()
    for path in extra:
        kept.take_away(path)
    return len(extra)


def _serves_again(plane: ControlPlane, record: ExerciseRecord, leaving: OutgoingServer, timeout_seconds: float) -> bool:
    """Wait until a server of the old configuration is ready: the very one from before, or one that began after now.

    One that began in between has read files that were not the old ones: it is ended, once.
    """
    since, deadline = plane.clock.boot(), plane.clock.monotonic() + timeout_seconds
    reported, ended = plane.clock.monotonic(), None
    while (now := plane.clock.monotonic()) < deadline:
        process = ready(plane)
        if process is not None:
            if process.identity == record.server or process.started >= since - _GRACE_SECONDS:
                return True
            if ended != process.identity:
                end_in_place(process)
                ended = process.identity
        leaving.look()
        if now - reported >= _TELL_SECONDS:
            plane.progress.waiting("the API server of the old configuration", timeout_seconds - (deadline - now))
            reported = now
        plane.clock.sleep(_POLL_SECONDS)
    return False


def ready(plane: ControlPlane) -> Process | None:
    """Return the server that runs as the manifest says and is ready."""
    with suppress(AuditctlError):
        manifest = plane.read_manifest()[1]
        process = listener(manifest.secure_port, manifest)
        if process is None or not process.runs(manifest.command):
            return None
        if plane.endpoint(manifest).readiness(plane.credentials()) is Readiness.READY:
            return process
    return None


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
