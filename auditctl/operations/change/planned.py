"""What a report says of a plan, for programs: would anything change, which files with which text, is there a restart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import unified_diff
from typing import Any

from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.journal import Role
from auditctl.operations.change_model import PlannedChange, Restart
from auditctl.operations.controlplane import ControlPlane

_RESTARTS: Mapping[Restart, str | None] = {
    Restart.REPLACE_POD: "ReplacePod",
    Restart.IN_PLACE: "RestartContainer",
    Restart.NONE: None,
}


def planned(plane: ControlPlane, work: PlannedChange, *, nothing: bool) -> dict[str, Any]:
    """The report's ``manifest.plan``: ``changes``, ``restart`` (None: none is needed), and ``files`` beside the manifest.

    A row of ``files`` has ``path`` (a node path), ``role``, ``change`` (install, replace, remove) and ``diff``: a unified
    diff of a policy's text, None for any other file, for a webhook's holds secrets.
    """
    files = [
        {
            "path": plane.root.node(edit.path),
            "role": edit.role.value,
            "change": _change(edit),
            "diff": _diff(edit, plane.root.node(edit.path)) if edit.role is Role.POLICY else None,
        }
        for edit in work.edits
    ]
    return {"changes": not nothing, "restart": None if nothing else _RESTARTS[work.restart], "files": files}


def _change(edit: FileEdit) -> str:
    if edit.after is None:
        return "remove"
    return "install" if edit.before is None else "replace"


def _diff(edit: FileEdit, name: str) -> str:
    old = _lines(edit.before.content if edit.before is not None else b"")
    new = _lines(edit.after or b"")
    heads = ("/dev/null" if edit.before is None else f"a{name}", "/dev/null" if edit.after is None else f"b{name}")
    lines = unified_diff(old, new, *heads)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(raw: bytes) -> list[str]:
    """Split as the manifest's own diff does: at line feeds only."""
    return [line for line in re.split("(?<=\n)", raw.decode(errors="replace")) if line]
