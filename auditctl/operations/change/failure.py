"""A change that failed, told to the user: in the words of his own files, and without what had failed before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from auditctl.errors import Place, RefusedError
from auditctl.findings import Finding, Severity
from auditctl.node.apiserver.crash import Crash
from auditctl.node.change import files
from auditctl.node.change.change import Change
from auditctl.node.kubelet.restart import Failed, RestartWaiter
from auditctl.operations.change_model import ChangeOptions, PlannedChange
from auditctl.operations.controlplane import ControlPlane

# what a server that is ready says of its audit log (templates/crashes.json)
_OF_THE_LOG = frozenset(["disk-full", "events-lost", "log-write", "rotation-impossible"])


def in_the_users_words(failed: Failed, planned: PlannedChange) -> Failed:
    """A place in an installed copy is one in the file that it was made from: the copy goes with the undo.

    Not if somebody has changed the copy since: then the place is in that one alone.
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
    return failed._replace(crash=failed.crash._replace(place=own))


def not_proved(failed: Sequence[str], watch: RestartWaiter) -> str:
    """What the proof lacks, with the server's own words where it says why it records nothing; empty where nothing does."""
    said = watch.crash() if failed else None
    if said is None or said.name not in _OF_THE_LOG:
        return failed[0] if failed else ""
    return f"{failed[0]}: {said}"


def crash_findings(crash: Crash | None) -> Iterator[Finding]:
    """The cause as a finding: its place is for programs to read."""
    if crash is not None:
        place = crash.place or Place("")
        text = str(crash._replace(place=None))
        yield Finding(crash.name, Severity.ERROR, text, crash.fix, "", place.file, place.line, place.column)


def failing_before(plane: ControlPlane, planned: PlannedChange, options: ChangeOptions) -> frozenset[str]:
    """The checks of ``/readyz`` that fail before the change: they are not ours.

    Without ``--allow apiserver-ready`` none does, or the change had been refused.
    """
    if not options.wait or "apiserver-ready" not in options.allow:
        return frozenset()
    try:
        return frozenset(plane.endpoint(planned.before).health(plane.credentials()).failing)
    except RefusedError:
        return frozenset()


def left_over(change: Change, failed: Sequence[str]) -> Iterator[Finding]:
    """What a change that is done could not do: remove a file, or write its own last word."""
    for text in failed:
        yield Finding("not-removed", Severity.WARNING, text, "remove it by hand")
    if not change.journal.finished:
        text = f"{change.backup.parent}: the journal's last entry could not be written, so the next run takes this change for an interrupted one and looks at it again"
        yield Finding(
            "journal-incomplete", Severity.WARNING, text, "make room or make it writable, then: auditctl recover"
        )
