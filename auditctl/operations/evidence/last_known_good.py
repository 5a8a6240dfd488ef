"""The last known good policy: what a verified server runs with, kept for the day when an edit kills it.

Of the webhook's file, which holds secrets, only the digest is kept: enough to say that it was edited, not to put it back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from auditctl.errors import RefusedError
from auditctl.findings import Finding
from auditctl.node.apiserver.loaded_policy import LoadedPolicyRecord, file_of_process, loaded_file
from auditctl.node.change import files
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.files import Snapshot
from auditctl.node.change.journal import Role
from auditctl.operations.controlplane import ControlPlane
from auditctl.settings import POLICY_FLAG, WEBHOOK_FLAG

if TYPE_CHECKING:
    from auditctl.manifest.pod import Manifest
    from auditctl.node.apiserver.process import Process


def keep(plane: ControlPlane, manifest: Manifest, process: Process | None, proved: bytes | None = None) -> None:
    """Keep what the server has just been proved to run with.

    ``proved`` is the policy that this run has made it load, or one that decides as the loaded one does. Without it the
    policy has to be known by `loaded`: a file that was edited in place since is not what the server runs with. A state
    directory that cannot be written loses nothing but this.
    """
    if process is None:
        return
    with suppress(OSError, RefusedError):
        policy = proved if proved is not None else loaded(plane, manifest, process)
        if policy is not None:
            plane.state.keep_last_good(Role.POLICY, policy)
            _record(plane, manifest, process, policy)
        path = manifest.flag(WEBHOOK_FLAG)
        webhook = loaded_file(process, plane.root, manifest, path) if path else None
        if webhook is not None:
            plane.state.keep_last_good(Role.WEBHOOK, files.sha256(webhook).encode())


def _record(plane: ControlPlane, manifest: Manifest, process: Process, policy: bytes) -> None:
    """Write down which process runs with ``policy``, and from which file. Raises OSError."""
    path = file_of_process(process, plane.root, manifest, manifest.flag(POLICY_FLAG) or "")
    if path is not None:
        record = LoadedPolicyRecord.of(process, path, policy, plane.clock)
        plane.state.keep_last_process(record.as_json())


def loaded(plane: ControlPlane, manifest: Manifest, process: Process | None) -> bytes | None:
    """Return the policy that the running process has loaded, as text; None where that is not known.

    A process that was proved by a run of ours has what was recorded then. A later one has the recorded file, as long as
    inode, ctime and digest are still the same. For any other the file has to be older than the process, which only
    counts while the clock was not set in between.
    """
    path = manifest.flag(POLICY_FLAG)
    if process is None or not path:
        return None
    record = LoadedPolicyRecord.read(plane.state.last_process())
    if record is None:
        return loaded_file(process, plane.root, manifest, path)
    boot = plane.clock.boot_id()
    recorded = recall(plane, Role.POLICY)
    if recorded is not None and files.sha256(recorded) != record.sha256:
        recorded = None
    if record.is_of(process, boot):
        return recorded
    place = file_of_process(process, plane.root, manifest, path)
    if place is not None and record.was_followed_by(process, boot) and record.describes(place):
        return recorded
    return None if record.clock_was_set(boot) else loaded_file(process, plane.root, manifest, path)


def recall(plane: ControlPlane, role: Role) -> bytes | None:
    """Return the last known good file of that role, if one was ever kept."""
    try:
        return files.read(plane.state.last_good_of(role), "policy").content
    except (OSError, RefusedError):
        return None


def proved_policy(plane: ControlPlane) -> Path | None:
    """Return the path of the last policy that was proved on this node; None where there is none to read."""
    path = plane.state.last_good_of(Role.POLICY)
    with suppress(OSError):
        if path.is_file() and recall(plane, Role.POLICY) is not None:
            return path
    return None


def edits_made_by_hand(path: Path, on_disk: Snapshot, last_good: bytes | None) -> Iterator[FileEdit]:
    """Yield what somebody has edited in the policy since: from the last known good one to the one on disk."""
    if last_good is not None and last_good != on_disk.content:
        yield FileEdit(role=Role.POLICY, path=path, before=replace(on_disk, content=last_good), after=on_disk.content)


def webhook_edited_by_hand(plane: ControlPlane, path: Path | None) -> Iterator[Finding]:
    """Yield a warning if the webhook's file was edited since it was last known good: there is no way back from that."""
    known = recall(plane, Role.WEBHOOK)
    if path is not None and known is not None and files.digest(path) != known.decode():
        text = (
            f"{path} was edited since it was last proved; it holds secrets, so auditctl keeps no copy of it, and if the "
            "API server dies of the edit the old one cannot be put back"
        )
        yield Finding.warning("webhook-edited", text, "keep your own copy of the one that worked")
