"""The state directory: lock, journals, backups, last known good policy. 0700, never near the manifest directory."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.node.change import files
from auditctl.node.change.journal import Journal, Role, Step, decode, encode_header, encode_step

_HOLDER_LENGTH = 300


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
            RefusedError: it cannot be written (not root, read-only, full).
        """
        try:
            files.make_directories(self.changes)
        except OSError as error:
            raise cannot_write(self.path, "the state directory", error) from error

    def journals(self) -> list[Journal]:
        """Every change on this node that can be read, oldest first.

        Raises:
            RefusedError: the state directory may not be read.
        """
        return [journal for folder in self.folders() if (journal := _journal_in(folder)) is not None]

    def unreadable(self) -> list[Path]:
        """Folders of changes that cannot be read: damaged, or written by a newer version.

        The first line comes by one rename, so a folder without a journal file never touched anything.
        """
        return [
            folder for folder in self.folders() if (folder / "journal.jsonl").exists() and _journal_in(folder) is None
        ]

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
        """Write one more entry, durably, and return the journal with it."""
        after = journal.to(step, at, note)
        path = self.folder(journal.id) / "journal.jsonl"
        text = path.read_bytes()
        start = b"" if text.endswith(b"\n") else b"\n"  # a torn line of a run that died stays alone on its line
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            line = start + encode_step(step, at, note).encode()
            if os.write(descriptor, line) != len(line):  # a disk that fills up takes a part, and no error is raised
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(descriptor)
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

    def keep_last_process(self, record: Mapping[str, object]) -> None:
        """Remember which process was verified: while it lives, the last good policy is the one that it loaded."""
        files.make_directories(self.last_good)
        files.replace(self.last_good / "process.json", json.dumps(record).encode(), None)

    def last_process(self) -> Mapping[str, object]:
        """Return the record of the last verified process; an empty one where there is none that can be read."""
        try:
            record = json.loads((self.last_good / "process.json").read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return record if isinstance(record, dict) else {}


@contextmanager
def lock(state: StateDirectory, command: str) -> Iterator[None]:
    """Hold the node's lock for the length of a change. flock dies with the process: never stale.

    Raises:
        RefusedError: another run holds it.
    """
    try:
        descriptor = os.open(state.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise cannot_write(state.lock, "the lock", error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                raise cannot_write(state.lock, "the lock", error) from error
            raise RefusedError(
                f"{state.lock}: {state.holder()} is changing this node now",
                check="lock-held",
                fix="wait until it has finished, then run the command again",
            ) from error
        state.sign(f"auditctl {command} (pid {os.getpid()})")
        yield
    finally:
        os.close(descriptor)


@contextmanager
def lock_left_behind(state: StateDirectory) -> Iterator[None]:
    """Wait, for as long as it takes, until the run that holds the lock ends or dies; then hold it.

    The descriptor is one of our own: an inherited one would be the very lock that we wait for.
    """
    descriptor = os.open(state.lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _journal_in(folder: Path) -> Journal | None:
    try:
        return decode((folder / "journal.jsonl").read_text(errors="replace"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise cannot_read(folder, error) from error


def cannot_read(path: Path, error: OSError) -> RefusedError:
    """One sentence for records of ours that may not be read."""
    reason = (error.strerror or str(error)).lower()
    return RefusedError(f"{path}: cannot read it: {reason}", check="state-unreadable", fix="run it as root (sudo)")


def cannot_write(path: Path, what: str, error: OSError) -> RefusedError:
    """One sentence for a file system that will not take ``what``; the file that it names itself comes first."""
    path = Path(error.filename) if isinstance(error.filename, str) else path
    reason = (error.strerror or str(error)).lower()
    fix = (
        "run it as root (sudo)"
        if isinstance(error, PermissionError)
        else "make room or make it writable, then run it again"
    )
    return RefusedError(f"{path}: cannot write {what}: {reason}", check="not-writable", fix=fix)
