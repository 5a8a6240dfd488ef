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
from auditctl.findings import Finding, Severity
from auditctl.node.apiserver.loaded_policy import loaded_file
from auditctl.node.change import files
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.files import Snapshot
from auditctl.node.change.journal import Role
from auditctl.operations.controlplane import ControlPlane
from auditctl.settings import POLICY_FLAG, WEBHOOK_FLAG

if TYPE_CHECKING:
    from auditctl.manifest.pod import Manifest
    from auditctl.node.apiserver.process import Process

_FLAGS = ((Role.POLICY, POLICY_FLAG), (Role.WEBHOOK, WEBHOOK_FLAG))


def keep(plane: ControlPlane, manifest: Manifest, process: Process | None, proved: bytes | None = None) -> None:
    """Keep what the server has just been proved to serve with.

    ``proved`` is a policy that is known to decide as the loaded one does. Else a file counts only if nobody has touched
    it since the process started: one that was edited in place meanwhile is not what the server runs with. A state
    directory that cannot be written loses nothing but this.
    """
    if process is None:
        return
    with suppress(OSError, RefusedError):
        for role, flag in _FLAGS:
            path = manifest.flag(flag)
            content = proved if role is Role.POLICY and proved is not None else None
            if content is None and path:
                content = loaded_file(process, plane.root, manifest, path)
            if content is not None:
                kept = content if role is Role.POLICY else files.sha256(content).encode()
                plane.state.keep_last_good(role, kept)
                if role is Role.POLICY:
                    plane.state.keep_last_process(process.pid, process.started)


def loaded(plane: ControlPlane, manifest: Manifest, process: Process | None) -> bytes | None:
    """The policy that the running process has loaded, as text; None where that cannot be known.

    Its file, if that is older than the process; else the last known good one, if it was proved with this very process.
    """
    path = manifest.flag(POLICY_FLAG)
    if process is None or not path:
        return None
    raw = loaded_file(process, plane.root, manifest, path)
    if raw is None and plane.state.last_process() == process.identity:
        return recall(plane, Role.POLICY)
    return raw


def recall(plane: ControlPlane, role: Role) -> bytes | None:
    """The last known good file of that role, if one was ever kept."""
    try:
        return plane.state.last_good_of(role).read_bytes()
    except OSError:
        return None


def edits_made_by_hand(path: Path, on_disk: Snapshot, last_good: bytes | None) -> Iterator[FileEdit]:
    """Yield what somebody has edited in the policy since: from the last known good one to the one on disk."""
    if last_good is not None and last_good != on_disk.content:
        yield FileEdit(Role.POLICY, path, replace(on_disk, content=last_good), on_disk.content)


def webhook_edited_by_hand(plane: ControlPlane, path: Path | None) -> Iterator[Finding]:
    """Yield a warning if the webhook's file was edited since it was last known good: there is no way back from that."""
    known = recall(plane, Role.WEBHOOK)
    if path is not None and known is not None and files.digest(path) != known.decode():
        text = (
            f"{path} was edited since it was last proved; it holds secrets, so auditctl keeps no copy of it, and if the "
            "API server dies of the edit the old one cannot be put back"
        )
        yield Finding("webhook-edited", Severity.WARNING, text, "keep your own copy of the one that worked")
