"""Describe a failed change: places in the user's own files, without what had failed before the change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from auditctl.errors import Place, RefusedError
from auditctl.findings import Check, Finding, Receipt
from auditctl.node.apiserver.crash import Crash
from auditctl.node.apiserver.process import Process
from auditctl.node.change import files
from auditctl.node.change.change import Change
from auditctl.node.kubelet.restart import Failed, RestartWaiter
from auditctl.operations.change_model import ChangeOptions, PlannedChange
from auditctl.operations.controlplane import ControlPlane

# what a server that is ready says of its audit log (templates/crashes.json)
_OF_THE_LOG = frozenset(["disk-full", "events-lost", "log-write", "rotation-impossible"])


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitOutcome:
    """The result of waiting and proving; ``failure`` is one sentence, empty on success."""

    failure: str = ""
    crash: Crash | None = None
    checks: tuple[Check, ...] = ()
    receipt: Receipt | None = None
    process: Process | None = None
    seconds: float = 0.0


def in_the_users_words(failed: Failed, planned: PlannedChange) -> Failed:
    """Return the failure with the place moved from an installed copy to the user's own file.

    The undo removes the copy.

    Where somebody has changed the copy since, the place stays: it is right for the copy alone.
    """
    if failed.crash is None or failed.crash.place is None:
        return failed
    sources = {
        str(edit.path): edit.source
        for edit in planned.edits
        if edit.source and edit.after is not None and files.digest(edit.path) == files.sha256(edit.after)
    }
    place = failed.crash.place
    own = place._replace(file=sources.get(place.file, place.file))
    return failed._replace(crash=replace(failed.crash, place=own))


def said_once(failure: str, undone: Failed) -> str:
    """Return why the old configuration does not serve; the cause is left out where ``failure`` names it already."""
    is_the_same = undone.crash is not None and str(undone.crash) in failure
    return f"{undone.reason}, of the same cause" if is_the_same else str(undone)


def not_proved(failed: Sequence[str], watch: RestartWaiter) -> str:
    """Return why the proof failed, with the server's own words if it has any; empty if it did not fail."""
    said = watch.crash() if failed else None
    if said is None or said.name not in _OF_THE_LOG:
        return failed[0] if failed else ""
    return f"{failed[0]}: {said}"


def crash_findings(crash: Crash | None) -> Iterator[Finding]:
    """Yield the cause as a finding, with its place for programs."""
    if crash is not None:
        place = crash.place or Place("")
        text = str(replace(crash, place=None))
        yield Finding.error(crash.name, text, crash.fix, path="", file=place.file, line=place.line, column=place.column)


def failing_before(plane: ControlPlane, planned: PlannedChange, options: ChangeOptions) -> frozenset[str]:
    """Return the checks of ``/readyz`` that fail before the change, so that it is not blamed for them.

    Without ``--allow apiserver-ready`` there are none: the change would have been refused.
    """
    if not options.wait or "apiserver-ready" not in options.allow:
        return frozenset()
    try:
        return frozenset(plane.endpoint(planned.before).health(plane.credentials()).failing)
    except RefusedError:
        return frozenset()


def left_over(change: Change, failed: Sequence[str]) -> Iterator[Finding]:
    """Yield what a finished change could not do: remove a file, or write the last entry of its journal."""
    for text in failed:
        yield Finding.warning("not-removed", text, "remove it by hand")
    if not change.journal.finished:
        text = f"{change.backup.parent}: the journal's last entry could not be written, so the next run takes this change for an interrupted one and looks at it again"
        yield Finding.warning("journal-incomplete", text, "make room or make it writable, then: auditctl recover")
