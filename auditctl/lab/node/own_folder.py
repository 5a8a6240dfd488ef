"""The folders of the lab that nobody has to name: below a directory of our own, never a name that anybody can make first."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.lab.node.layout import Layout
from auditctl.node.path_trust import UnsafeComponent, UntrustedPathError, first_unsafe

ROOTS_OWN = Path("/run/auditctl")  # only root makes a name in /run


def own_folder(name: str) -> Path:
    """Return the usual folder ``name``, which need not be there: root's in /run, a user's in XDG_RUNTIME_DIR or ~/.cache.

    Raises:
        RefusedError: this user has no home.
    """
    if os.geteuid() == 0:
        return ROOTS_OWN / name
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if runtime.is_absolute() and _is_private(runtime):
        return runtime / "auditctl" / name
    try:
        return Path.home() / ".cache/auditctl" / name
    except RuntimeError as error:
        text = "this user has no home directory, so there is no usual folder"
        raise RefusedError(text, check="lab-folder", fix="specify a folder") from error


def _is_private(folder: Path) -> bool:
    """Tell whether the folder is this user's: after `su` the variable may still name another user's."""
    with suppress(OSError):
        status = folder.lstat()
        return status.st_uid == os.geteuid() and not stat.S_IMODE(status.st_mode) & 0o077 and not first_unsafe(folder)
    return False


def refuse_untrusted(layout: Layout, name: Path | None = None) -> None:
    """Make sure that nobody else can change what a practice node executes or believes, or where its ``name`` leads.

    Raises:
        UntrustedPathError: somebody can.
    """
    for path in (*([name] if name is not None else []), *_believed(layout)):
        if (component := first_unsafe(path)) is not None:
            raise untrusted(component, f"the practice node {layout.root}", layout.root)


def untrusted(component: UnsafeComponent, subject: str, folder: Path) -> UntrustedPathError:
    """Return the refusal of a folder, with the next step that fits what is unsafe about it."""
    ours = component.uid == os.geteuid() and (component.path == folder or folder in component.path.parents)
    fix = "specify another folder"
    if ours and not component.is_link:
        fix += f"; if nobody else has used this one: chmod -R go-w {folder}"
    return UntrustedPathError(component, subject, check="lab-untrusted", fix=fix)


def _believed(layout: Layout) -> list[Path]:
    """Return the marker, the programs that are run, the records of processes, the faults, and the configuration."""
    records: list[Path] = []
    with suppress(OSError):
        records = sorted(layout.processes.iterdir())
    faults = layout.processes.with_name("faults.json")
    pki = (layout.pki / "ca.crt", layout.pki / "ca.key")
    programs = (layout.kubelet_program, layout.apiserver_program)
    return [
        *(layout.marker, *programs, layout.processes, *records, faults),
        *(
            layout.manifest_directory,
            layout.containers,
            layout.kubelet_config,
            layout.kubelet_log,
            *pki,
            layout.admin_conf,
        ),
    ]
