"""Where an exercise may be played: on the practice node, or on a real one that its author has marked as one to throw away."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.lab.exercises.store import ExerciseStore
from auditctl.lab.node.layout import Layout
from auditctl.lab.node.own_folder import own_folder, refuse_untrusted
from auditctl.node.change.files import Root
from auditctl.node.path_trust import first_unsafe
from auditctl.operations.controlplane import ControlPlane

MARKER = "/etc/auditctl-lab-node"  # on a real node; its author puts it there, never auditctl


class PracticeNode(NamedTuple):
    """A node to practise on; ``layout`` is None for a real one."""

    plane: ControlPlane
    layout: Layout | None

    @property
    def desk(self) -> ExerciseStore:
        return ExerciseStore(self.plane.root)

    @property
    def words(self) -> str:
        """Return how a command line names this node."""
        return "auditctl" if self.plane.root.is_host else f"auditctl --rootfs {self.plane.rootfs}"


def default_folder() -> Path:
    """Return where `lab up` puts a node that nobody named."""
    return own_folder("lab")


def find(plane: ControlPlane, *, real: bool = False, beginning: bool = False) -> PracticeNode:
    """Return the node: ``--rootfs``; else this machine if ``real``; else the embedded node in its usual folder,
    unless it is not there, or the one exercise that is open is this machine's and none is ``beginning``.

    Raises:
        RefusedError: somebody else may change that practice node.
    """
    if plane.root.is_host and not real:
        usual = Layout(default_folder())
        there = first_unsafe(usual.root) is None and usual.read_marker() is not None
        if there and (beginning or _is_open(Root(usual.root)) or not _is_open(plane.root)):
            refuse_untrusted(usual)
            return PracticeNode(replace(plane, rootfs=usual.root), usual)
    layout = Layout(plane.root.path)
    if layout.read_marker() is None:
        return PracticeNode(plane, None)
    refuse_untrusted(layout)
    return PracticeNode(plane, layout)


def _is_open(root: Root) -> bool:
    return os.path.lexists(ExerciseStore(root).folder)


def permit(ground: PracticeNode, *, confirmed: bool) -> None:
    """Refuse a node that nobody has given for it.

    Raises:
        RefusedError: it is a real one without the mark, or ``--yes`` was not said.
    """
    if ground.layout is not None:
        return
    marker = ground.plane.root.host(MARKER)
    if not marker.is_file():
        raise RefusedError(
            f"this is not a practice node: {marker} is not there",
            check="lab-node",
            fix="auditctl lab up; or, on a real node to throw away, let its author put that file there, and use --yes",
        )
    if not confirmed:
        raise RefusedError(
            "an exercise breaks the API server of this real node on purpose",
            check="confirmation",
            fix="use --yes as well",
        )
