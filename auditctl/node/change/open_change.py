"""A change in progress, as the run that performs it and its watchdog hold it in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from auditctl.node.change import files
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.files import Root
from auditctl.node.change.journal import TRANSITIONS, FileRecord, Journal, OnDisk, Role, Step, standing
from auditctl.node.change.state import StateDirectory
from auditctl.node.clock import Clock


@dataclass(slots=True, kw_only=True)
class Change:
    """A change in progress. ``journal`` is replaced as entries are written; everything else is fixed.

    ``by`` is who writes them, where it is not the run that began it. ``memory`` has both states of every file, by node
    path: what the run and its watchdog need to go back is not left to the disk that the backups lie on. ``ending_texts``
    are texts of the manifest that only end the Pod: the old settings, each with another value of an annotation.
    """

    state: StateDirectory
    root: Root
    clock: Clock
    journal: Journal
    by: str = ""
    memory: Mapping[str, FileEdit] = field(default_factory=dict, repr=False)
    ending_texts: Sequence[bytes] = ()

    @property
    def backup(self) -> Path:
        """Return the path of the saved manifest."""
        return self.state.saved(self.journal, Role.MANIFEST, "before")

    def mark(self, step: Step, note: str = "") -> None:
        """Write one more journal entry and fsync it."""
        note = ", ".join(part for part in (note, self.by) if part)
        self.journal = self.state.append(self.journal, step, timestamp(self.clock), note)

    def try_mark(self, step: Step, note: str = "") -> None:
        """Write the entry as `mark` does, where going on matters more (after the rename, and during an undo).

        On a disk too full for it the journal keeps its last word, and the next run looks at the files themselves.
        """
        if step in TRANSITIONS[self.journal.step]:
            with suppress(OSError):
                self.mark(step, note)

    def standing(self, record: FileRecord) -> OnDisk:
        """Return which of its texts is on disk now."""
        return standing(record, files.digest(self.root.host(record.path)))


def timestamp(clock: Clock) -> str:
    return clock.utc().isoformat(timespec="milliseconds").replace("+00:00", "Z")
