"""Remove what a change leaves over: temporary files, files that it proved to be needless, directories of ours."""

from __future__ import annotations

from contextlib import suppress

from auditctl.node.change import backup, files
from auditctl.node.change.change import Change, remove_directories
from auditctl.node.change.journal import OnDisk


def clear_up(change: Change) -> None:
    """Remove the empty directories that the runtime made at our files' places; raise nothing.

    Where the kubelet starts the new Pod's container once more while its files go already, containerd makes an empty
    directory for each mount without a source; the next change would find a directory for a policy.
    """
    for record in change.journal.files:
        if record.before is None:
            with suppress(OSError):  # not there, not empty, or a file: not the runtime's
                files.remove_directory(change.root.host(record.path))
    remove_directories(change, change.journal.made_directories)


def sweep(change: Change) -> None:
    """Remove the temporary files that a killed run may have left beside the change's files."""
    for record in change.journal.files:
        with suppress(OSError):
            files.remove(files.temporary_of(change.root.host(record.path)))


def remove_last(change: Change) -> list[str]:
    """Remove the files that a proved change no longer needs (``--purge``), and our empty directories.

    Returns a sentence for each file that cannot be removed: the change itself is done.
    """
    failed = []
    ours = change.standing(change.journal.manifest) in (OnDisk.AFTER, OnDisk.SAME)
    for record in change.journal.files:
        path = change.root.host(record.path)
        if record.removed_last and change.standing(record) is OnDisk.BEFORE:
            if not ours:  # theirs may name it, and the API server would die of its absence
                failed.append(f"{path}: left in place, because somebody else has changed the manifest since")
                continue
            try:
                files.remove(path)
            except OSError as error:
                if path.exists():
                    failed.append(f"{path}: cannot be removed: {(error.strerror or str(error)).lower()}")
    if ours:
        backup.forget_removed(change.state, change.root, change.journal)
    remove_directories(change, {path for journal in change.state.journals() for path in journal.made_directories})
    return failed
