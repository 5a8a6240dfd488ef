"""The state directory: lock, journals, backups, last known good policy. 0700, never near the manifest directory.

Records of changes are never removed: a change's record is some kilobytes, and `rollback` and `history` need them.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.node import opening, path_trust
from auditctl.node.change import files
from auditctl.node.change.journal import Journal, Role, Step, decode, encode_header, encode_step
from auditctl.node.clock import boot_id

_HOLDER_LENGTH = 300
_OURS = frozenset([errno.EMFILE, errno.ENFILE, errno.ENOMEM])  # the record is not to blame


class StateDirectory(NamedTuple):
    """Where our own records are kept (a path on this machine)."""

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
        """The folder of one change: ``journal.jsonl``, ``ROLE.before``, ``ROLE.after``."""
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
        """Root installs what the records in here say, so nobody else may write a record (as sshd's StrictModes).

        Raises:
            RefusedError: another user owns the directory or one above it, or may write there.
        """
        fix = f"choose a --state-dir below a directory that only root writes, or: chmod go-w {self.path}"
        for path in (self.path, self.changes):
            status = path.stat()
            if status.st_uid != os.geteuid() or status.st_mode & 0o022:
                text = f"{path}: others may write it (owner uid {status.st_uid}, mode {status.st_mode & 0o7777:04o})"
                raise RefusedError(f"{text}, so its records are not used", check="path-untrusted", fix=fix)
        if os.geteuid() != 0:
            return  # a folder of the user's own: who else may write there is the user's choice
        unsafe = path_trust.first_unsafe(self.changes / "journal")
        if unsafe is not None:
            raise RefusedError(f"{self.path} is not used: {unsafe}", check="path-untrusted", fix=fix)

    def journals(self) -> list[Journal]:
        """Every change on this node that can be read, oldest first.

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
        """The folders of all changes, oldest first."""
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
        """Under the lock: remove what a killed run left here, temporary files and folders of changes that never began."""
        for folder in (self.last_good, *self.folders()):
            with suppress(OSError):
                for path in folder.glob(files.TEMPORARY_PATTERN):
                    path.unlink()
                if not any(folder.iterdir()):
                    folder.rmdir()

    def is_locked(self) -> bool:
        """Is a change running now?"""
        try:
            descriptor = os.open(self.lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
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
        """Who holds the lock, in its own words."""
        try:
            return self.lock.read_text(errors="replace")[:_HOLDER_LENGTH].strip() or "another run"
        except OSError:
            return "another run"

    def sign(self, holder: str) -> None:
        """Say who holds the lock, a courtesy to whoever finds it held; a full disk may refuse it."""
        with suppress(OSError):
            descriptor = os.open(self.lock, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{holder}\n".encode(), 0)
            finally:
                os.close(descriptor)

    def journal(self, change_id: str) -> Journal | None:
        """One change as it stands on disk now; None if it cannot be read."""
        return _journal_in(self.folder(change_id))

    def open_changes(self) -> list[Journal]:
        """Those that were interrupted."""
        return [journal for journal in self.journals() if not journal.finished]

    def write_header(self, journal: Journal) -> None:
        """Make the change's folder and write its intent, durably."""
        files.make_directories(self.folder(journal.id))
        files.replace(self.folder(journal.id) / "journal.jsonl", encode_header(journal).encode(), None)

    def append(self, journal: Journal, step: Step, at: str, note: str = "") -> Journal:
        """Write one more entry, durably, and return the journal with it.

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
        """The path of the saved bytes of one file, ``when`` before or after the change."""
        return self.folder(journal.id) / f"{role.value}.{when}"

    def last_good_of(self, role: Role) -> Path:
        """The policy itself; of the webhook's file, which holds secrets, the SHA-256 alone."""
        return self.last_good / (f"{role.value}.sha256" if role is Role.WEBHOOK else f"{role.value}.yaml")

    def keep_last_good(self, role: Role, content: bytes) -> None:
        """Remember what a verified server runs with."""
        files.make_directories(self.last_good)
        path = self.last_good_of(role)
        if files.digest(path) != files.sha256(content):
            files.replace(path, content, None)

    def keep_last_process(self, pid: int, started: float) -> None:
        """Remember which process was verified: while it lives, the last good policy is the one that it loaded."""
        files.make_directories(self.last_good)
        known = {"pid": pid, "started": started, "boot": boot_id()}
        files.replace(self.last_good / "process.json", json.dumps(known).encode(), None)

    def last_process(self) -> tuple[int, float] | None:
        """Return (pid, start in seconds of the boot clock) of the last verified process of this boot."""
        try:
            known = json.loads(files.read(self.last_good / "process.json", "record").content)
            pid, started, boot = known["pid"], known["started"], known["boot"]
        except (RefusedError, ValueError, KeyError, TypeError, RecursionError):
            return None
        is_number = isinstance(pid, int) and isinstance(started, int | float)
        return (pid, started) if is_number and boot == boot_id() else None


def _is_record(folder: Path) -> bool:
    """Tell whether something of a change was recorded there: a folder without a journal file never began."""
    return not folder.is_dir() or os.path.lexists(folder / "journal.jsonl")


def _journal_in(folder: Path) -> Journal | None:
    """Return the journal of a folder, whose name is its id; None where there is none, or it cannot be read.

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
    """One sentence for records of ours that may not be read."""
    reason = (error.strerror or str(error)).lower()
    fix = "run it as root (sudo)" if isinstance(error, PermissionError) else ""
    return RefusedError(f"{path}: cannot read it: {reason}", check="state-unreadable", fix=fix)


def cannot_write(path: Path, what: str, error: OSError) -> RefusedError:
    """One sentence for a file system that will not take ``what``; the file that it names itself comes first."""
    path = Path(error.filename) if isinstance(error.filename, str) else path
    reason = (error.strerror or str(error)).lower()
    if isinstance(error, opening.ForeignLinkError):
        text = f"{path}: {reason}, so {what} is not written there"
        fix = "specify the path that the link leads to, or make root the owner of the link and its directory"
        return RefusedError(text, check="path-untrusted", fix=fix)
    fix = (
        "run it as root (sudo)"
        if isinstance(error, PermissionError)
        else "make room or make it writable, then run it again"
    )
    return RefusedError(f"{path}: cannot write {what}: {reason}", check="not-writable", fix=fix)
