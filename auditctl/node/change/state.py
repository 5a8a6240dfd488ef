"""The state directory (0700): lock, journals, backups, last known good policy.

Records of changes are never removed: a change's record is some kilobytes, and `rollback` and `history` need them.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.node import opening
from auditctl.node.change import files
from auditctl.node.change.journal import Journal, Role, Step, decode, encode_header, encode_step

_HOLDER_LENGTH = 300
_OURS = frozenset([errno.EMFILE, errno.ENFILE, errno.ENOMEM])  # the record is not to blame


class StateDirectory(NamedTuple):
    """The directory of our own records (a path on this machine)."""

    path: Path

    @property
    def changes(self) -> Path:
        return self.path / "changes"

    @property
    def last_good(self) -> Path:
        return self.path / "last-good"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    def folder(self, change_id: str) -> Path:
        """Return the folder of one change: ``journal.jsonl``, ``ROLE.before``, ``ROLE.after``."""
        return self.changes / change_id

    def prepare(self) -> None:
        """Create the directory.

        Raises:
            RefusedError: it cannot be written (not root, read-only, full), or somebody else may write it.
        """
        try:
            files.make_directories(self.changes)
            self._check_owner()
        except OSError as error:
            raise cannot_write(self.path, "the state directory", error) from error

    def _check_owner(self) -> None:
        """Check that nobody else may write a record: root installs what the records say.

        Raises:
            RefusedError: another user owns the directory, or may write there.
        """
        fix = f"choose a --state-dir below a directory that only root writes, or: chmod go-w {self.path}"
        for path in (self.path, self.changes):
            descriptor = opening.directory(path)  # where a link of another user is on the way, nothing is believed
            try:
                status = os.fstat(descriptor)
            finally:
                os.close(descriptor)
            if status.st_uid != os.geteuid() or status.st_mode & 0o022:
                text = f"{path}: others may write it (owner uid {status.st_uid}, mode {status.st_mode & 0o7777:04o})"
                raise RefusedError(f"{text}, so its records are not used", check="path-untrusted", fix=fix)

    def journals(self) -> list[Journal]:
        """Return every change on this node that can be read, oldest first.

        Raises:
            RefusedError: the state directory may not be read.
        """
        return [journal for folder in self.folders() if (journal := _journal_in(folder)) is not None]

    def unreadable(self) -> list[Path]:
        """Return what lies where the records of changes do and cannot be read: damaged, or of a newer version.

        The first line comes by one rename, so a folder without a journal file never touched anything.
        """
        return [folder for folder in self.folders() if _is_record(folder) and _journal_in(folder) is None]

    def folders(self) -> list[Path]:
        """Return the folders of all changes, oldest first."""
        try:
            return sorted(self.changes.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise cannot_read(self.path, error) from error

    def discard(self, journal: Journal) -> None:
        """Remove the folder of a change that touched nothing."""
        with suppress(OSError):
            for path in self.folder(journal.id).iterdir():
                path.unlink()
            self.folder(journal.id).rmdir()

    def sweep(self) -> None:
        """Remove what a killed run left: temporary files and empty folders; call it under the lock."""
        for folder in (self.last_good, *self.folders()):
            with suppress(OSError):
                for path in folder.glob(files.TEMPORARY_PATTERN):
                    path.unlink()
                if not any(folder.iterdir()):
                    folder.rmdir()

    def is_locked(self) -> bool:
        """Tell whether a change is running now."""
        try:
            descriptor = files.open_regular(self.lock, os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def holder(self) -> str:
        """Return who holds the lock, as that run wrote it."""
        try:
            descriptor = files.open_regular(self.lock, os.O_NOFOLLOW)
        except OSError:
            return "another run"
        try:
            return os.read(descriptor, _HOLDER_LENGTH).decode(errors="replace").strip() or "another run"
        finally:
            os.close(descriptor)

    def sign(self, holder: str) -> None:
        """Write who holds the lock, for those who find it held; ignore a full disk."""
        with suppress(OSError):
            descriptor = os.open(self.lock, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{holder}\n".encode(), 0)
            finally:
                os.close(descriptor)

    def journal(self, change_id: str) -> Journal | None:
        """Return one change as it is on disk now; None if it cannot be read."""
        return _journal_in(self.folder(change_id))

    def open_changes(self) -> list[Journal]:
        """Return the changes that were interrupted."""
        return [journal for journal in self.journals() if not journal.finished]

    def write_header(self, journal: Journal) -> None:
        """Make the change's folder, write its intent and fsync both."""
        files.make_directories(self.folder(journal.id))
        files.replace_file(self.folder(journal.id) / "journal.jsonl", encode_header(journal).encode(), None)

    def append(self, journal: Journal, step: Step, at: str, note: str = "") -> Journal:
        """Append one entry, fsync it, and return the journal with it.

        Raises:
            OSError: it cannot be written; ESTALE: another run has finished this change meanwhile.
        """
        after = journal.to(step, at, note)
        path = self.folder(journal.id) / "journal.jsonl"
        with opening.parent(path) as folder:
            descriptor = os.open(path.name, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            text = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
            on_disk = decode(text.decode(errors="replace"))
            if on_disk is not None and on_disk.finished:
                raise OSError(errno.ESTALE, "another run has finished this change", str(path))
            start = b"" if text.endswith(b"\n") else b"\n"  # a torn line of a run that died stays alone on its line
            line = start + encode_step(step, at, note).encode()
            if os.write(descriptor, line) != len(line):  # a disk that fills up takes a part, and no error is raised
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(descriptor)
            files.check_written(descriptor, len(text), line, path)
        finally:
            os.close(descriptor)
        return after

    def saved(self, journal: Journal, role: Role, when: str) -> Path:
        """Return the path of the saved bytes of one file, ``when`` before or after the change."""
        return self.folder(journal.id) / f"{role.value}.{when}"

    def last_good_of(self, role: Role) -> Path:
        """Return the path of the last good policy; of the webhook's file, which holds secrets, of its SHA-256."""
        return self.last_good / (f"{role.value}.sha256" if role is Role.WEBHOOK else f"{role.value}.yaml")

    def keep_last_good(self, role: Role, content: bytes) -> None:
        """Keep the file that a verified server runs with."""
        files.make_directories(self.last_good)
        path = self.last_good_of(role)
        if files.digest(path) != files.sha256(content):
            files.replace_file(path, content, None)

    def keep_last_process(self, record: Mapping[str, object]) -> None:
        """Remember which process was verified: while it lives, the last good policy is the one that it loaded."""
        files.make_directories(self.last_good)
        files.replace_file(self.last_good / "process.json", json.dumps(record).encode(), None)

    def last_process(self) -> Mapping[str, object]:
        """Return the record of the last verified process; an empty one where there is none that can be read."""
        try:
            record = json.loads(files.read(self.last_good / "process.json", "record").content)
        except (RefusedError, ValueError, RecursionError):
            return {}
        return record if isinstance(record, dict) else {}


def _is_record(folder: Path) -> bool:
    """Tell whether something of a change was recorded there: a folder without a journal file never began."""
    return not folder.is_dir() or os.path.lexists(folder / "journal.jsonl")


def _journal_in(folder: Path) -> Journal | None:
    """Return the journal of a folder, whose name is its id; None if there is none, or it is damaged.

    Raises:
        RefusedError: we may not read it.
    """
    try:
        with opening.parent(folder / "journal.jsonl") as opened:
            text = files.read_at(opened, folder / "journal.jsonl", "record").content
    except OSError as error:
        if isinstance(error, PermissionError) or error.errno in _OURS:
            raise cannot_read(folder, error) from error
        return None
    except RefusedError:
        return None
    journal = decode(text.decode(errors="replace"))
    return journal if journal is not None and journal.id == folder.name else None


def cannot_read(path: Path, error: OSError) -> RefusedError:
    """Return the refusal for a record that cannot be read."""
    reason = (error.strerror or str(error)).lower()
    fix = "run it as root (sudo)" if isinstance(error, PermissionError) else ""
    return RefusedError(f"{path}: cannot read it: {reason}", check="state-unreadable", fix=fix)


def cannot_write(path: Path, subject: str, error: OSError) -> RefusedError:
    """Return the refusal for a file that cannot be written; the file that the error names comes first."""
    path = Path(error.filename) if isinstance(error.filename, str) else path
    reason = (error.strerror or str(error)).lower()
    if isinstance(error, opening.ForeignLinkError):
        text = f"{path}: {reason}, so {subject} is not written there"
        fix = "specify the path that the link leads to, or make root the owner of the link and its directory"
        return RefusedError(text, check="path-untrusted", fix=fix)
    fix = (
        "run it as root (sudo)"
        if isinstance(error, PermissionError)
        else "make room or make it writable, then run it again"
    )
    return RefusedError(f"{path}: cannot write {subject}: {reason}", check="not-writable", fix=fix)
