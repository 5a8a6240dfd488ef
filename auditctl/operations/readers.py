"""``--readers GROUP``: let the group of a log shipper read the log, in a directory of ours alone."""

from __future__ import annotations

from pathlib import Path

from auditctl.findings import Finding, Severity
from auditctl.node.logfiles import log_names
from auditctl.node.preflight.acl import group_id, let_group_read
from auditctl.operations.controlplane import ControlPlane


def before_edit(plane: ControlPlane, group: str | None, log: Path | None) -> tuple[Finding, ...]:
    """Return what speaks against it: no log file, or a directory that was there before us.

    Raises:
        RefusedError: there is no such group.
    """
    if group is None:
        return ()
    group_id(group)
    if log is None:
        return (
            Finding(
                check="readers", severity=Severity.ERROR, message=f"--readers {group}: there is no log file to read"
            ),
        )
    made = {path for journal in plane.state.journals() for path in journal.made_directories}
    if log.parent.exists() and plane.root.node(log.parent) not in made:
        text = f"--readers {group}: {log.parent} was there before auditctl, so its permissions are not ours to change"
        return (
            Finding(
                check="readers",
                severity=Severity.ERROR,
                message=text,
                fix=f"setfacl -m g:{group}:rX,d:g:{group}:rX {log.parent}",
            ),
        )
    return ()


def grant(group: str | None, log: Path | None) -> tuple[Finding, ...]:
    """Set the ACL once the log is there; return what was done, or a warning where there are no ACLs."""
    if group is None or log is None:
        return ()
    try:
        left = let_group_read(log.parent, log_names(log), group_id(group))
    except OSError as error:
        text = f"--readers {group}: {log.parent}: {(error.strerror or str(error)).lower()}"
        return (
            Finding(
                check="readers",
                severity=Severity.WARNING,
                message=text,
                fix="mount the file system with ACLs, or copy the log elsewhere",
            ),
        )
    return (
        *(
            Finding(check="readers", severity=Severity.WARNING, message=f"--readers {group}: {text}", fix="remove it")
            for text in left
        ),
        Finding(check="readers", severity=Severity.INFO, message=f"group {group} may read {log.parent}"),
    )
