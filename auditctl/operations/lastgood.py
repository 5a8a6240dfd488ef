"""The last known good policy and webhook file: what a verified server runs with, kept for the day when an edit kills it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from auditctl.errors import RefusedError
from auditctl.node import files, preflight
from auditctl.node.fileedit import FileEdit
from auditctl.node.journal import Role
from auditctl.node.loaded import loaded_file
from auditctl.operations.controlplane import ControlPlane
from auditctl.settings import POLICY_FLAG, WEBHOOK_FLAG

if TYPE_CHECKING:
    from auditctl.manifest.pod import Manifest
    from auditctl.node.process import Process

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
                plane.state.keep_last_good(role, content)
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


def edits_made_by_hand(plane: ControlPlane, manifest: Manifest) -> Iterator[FileEdit]:
    """What somebody has edited in place since: from the last known good file to the one on disk."""
    for role, path in _paths(plane, manifest):
        on_disk = files.read_if_there(path, role.value)
        known = recall(plane, role)
        if on_disk is not None and known is not None and known != on_disk.content:
            yield FileEdit(role, path, on_disk._replace(content=known), on_disk.content)


def _paths(plane: ControlPlane, manifest: Manifest) -> Iterator[tuple[Role, Path]]:
    for role, flag in _FLAGS:
        path = preflight.host_of(plane.root, manifest, flag)
        if path is not None:
            yield role, path
