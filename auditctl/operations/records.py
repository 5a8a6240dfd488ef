"""What auditctl's own records say of this node: open and failed changes, and who installed the policy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.findings import Finding
from auditctl.log.ends import utc_time
from auditctl.node.change.journal import EFFECTIVE, Journal, Role, Step
from auditctl.node.standby import pod as standby_pod
from auditctl.operations.change.watchdog_notice import notice
from auditctl.operations.controlplane import ControlPlane, damaged


class Installation(NamedTuple):
    """Who installed a file with auditctl, when (None: not noted), and by which change."""

    person: str
    at: datetime | None
    change_id: str


def change_findings(plane: ControlPlane) -> Iterator[Finding]:
    """Yield each change that runs, was interrupted, was left as it failed, or cannot be read.

    Raises:
        RefusedError: the state directory may not be read.
    """
    journals = plane.state.journals()
    if plane.state.is_locked():
        yield Finding.note("running-change", f"{plane.state.holder()} is changing this node now")
    else:
        for journal in (journal for journal in journals if not journal.finished):
            text = f"change {journal.id} ({journal.command}) was interrupted at {journal.step.value}"
            yield Finding.warning("interrupted-change", text, "auditctl recover")
        if standby_pod.remains(plane.root, plane.manifest_path):
            text = "an interrupted run has left a standby server or its redirect"
            yield Finding.warning("standby", text, "auditctl recover")
    yield from notice(plane)
    yield from damaged(plane)
    if journals and journals[-1].step is Step.STRANDED:
        text = f"change {journals[-1].id} ({journals[-1].command}) failed, and the old configuration was not restored"
        fix = f"auditctl rollback {journals[-1].id} --allow apiserver-ready"
        yield Finding.warning("stranded-change", text, fix)


def newest_change(plane: ControlPlane) -> Journal | None:
    """Return the newest change of this node; None where there is none, or its record may not be read."""
    try:
        journals = plane.state.journals()
    except RefusedError:
        return None
    return journals[-1] if journals else None


def installed_by(plane: ControlPlane, role: Role, digest: str | None) -> Installation | None:
    """Return the newest change that wrote the file of that role as it is now; None where auditctl did not write it."""
    try:
        journals = plane.state.journals()
    except RefusedError:
        return None
    for journal in reversed(journals):
        wrote = (file.after == digest and file.before != digest for file in journal.files if file.role is role)
        if digest is not None and journal.step in EFFECTIVE and any(wrote):
            who = journal.who
            person = str(who.get("login") or who.get("sudo") or who.get("user") or "unknown")
            return Installation(person, utc_time(journal.started), journal.id)
    return None
