"""What is known of the open exercise of a node: kept in the node's own /var/lib/auditctl-lab/exercise, never with its manifests.

The folder appears whole, by one rename, before the first act, and goes after the last: killed at any point, there is
either no exercise, or one that `lab reset` takes back.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.lab.exercises import snapshot
from auditctl.lab.exercises.snapshot import NodeSnapshot
from auditctl.node.change import files
from auditctl.node.change.files import Root
from auditctl.node.change.state import cannot_write
from auditctl.node.path_trust import UntrustedPathError, beneath, first_unsafe, is_plain, private_directory

HOME = "/var/lib/auditctl-lab"
_FOLDER = "exercise"
_STATE = "state.json"
_KEPT = "kept"
_FIX = "run it as the user whose node it is; what another user has put there: remove it"
_HELD: set[int] = set()


class ExercisePhase(Enum):
    """Where it stands; only in the phase OPEN is there something to solve."""

    BEGINNING = "beginning"
    OPEN = "open"
    RESETTING = "resetting"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExerciseRecord:
    """``seed`` is set where nobody knows the name; ``server`` is (pid, start) of the API server from before."""

    name: str
    phase: ExercisePhase
    seed: int | None = None
    hints: int = 0
    server: tuple[int, float] | None = None
    port: int = 0  # on which that server listened
    places: Mapping[str, str] = field(default_factory=dict)  # the files that the manifest named, by their role

    @property
    def spoken(self) -> str:
        """Return the name of the exercise, or the seed of the draw where the name would reveal the fault."""
        return repr(self.name) if self.seed is None else f"drawn with --seed {self.seed}"


@dataclass(frozen=True, slots=True)
class ExerciseStore:
    """Where the exercise of one node is kept."""

    root: Root

    @property
    def home(self) -> Path:
        return self.root.host(HOME)

    @property
    def folder(self) -> Path:
        return self.home / _FOLDER

    def record(self) -> ExerciseRecord | None:
        """Return the open exercise; None where there is none.

        Raises:
            RefusedError: it cannot be read, or somebody else may change it.
        """
        self._refuse_untrusted()
        try:
            return _read_record((self.folder / _STATE).read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            reason = (error.strerror or str(error)).lower() if isinstance(error, OSError) else "not one of ours"
            fix = "run it as root (sudo)" if isinstance(error, PermissionError) else ""
            text = f"{self.folder / _STATE}: cannot read the exercise: {reason}"
            raise RefusedError(text, check="lab-exercise", fix=fix) from error

    def begin(self, record: ExerciseRecord, trees: list[str], logs: list[str]) -> NodeSnapshot:
        """Take a snapshot, then record that an exercise begins; return the snapshot.

        Raises:
            RefusedError: it cannot be kept, or written.
        """
        draft = self.home / f".{_FOLDER}.new"
        try:
            if os.path.lexists(draft):  # of a run that was killed before it began
                snapshot.remove(draft)
            draft.mkdir(mode=0o700)
            snapshot.take(self.root, draft / _KEPT, trees, logs)
            _write(draft, record)
            draft.rename(self.folder)
            files.sync_directory(self.home)
        except OSError as error:
            raise cannot_write(self.home, "what the node is to get back", error) from error
        return self.kept()

    def kept(self) -> NodeSnapshot:
        """Return the snapshot of the node.

        Raises:
            RefusedError: it cannot be read, or somebody else may change it.
        """
        self._refuse_untrusted()
        try:
            return snapshot.load(self.root, self.folder / _KEPT)
        except PermissionError as error:
            text = f"{self.folder / _KEPT}: what the node was cannot be read: permission denied"
            raise RefusedError(text, check="lab-keepsake", fix="run it as root (sudo)") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            text = f"{self.folder / _KEPT}: the list of what is to be given back is not one that auditctl wrote"
            fix = f"if it is of no use: rm -r {self.folder}"
            raise RefusedError(text, check="lab-keepsake", fix=fix) from error

    def _refuse_untrusted(self) -> None:
        """Make sure that what root gives back is what root kept.

        Raises:
            UntrustedPathError: somebody else may change it.
        """
        for path in (self.folder / _STATE, self.folder / _KEPT / snapshot.LIST):
            with suppress(PermissionError):  # reading it tells that better
                if (component := first_unsafe(path)) is not None:
                    subject = f"the exercise kept in {self.folder}"
                    raise UntrustedPathError(component, subject, check="lab-untrusted", fix=_FIX)

    def write(self, record: ExerciseRecord) -> ExerciseRecord:
        """Write the record of the exercise.

        Raises:
            RefusedError: it cannot be written.
        """
        try:
            _write(self.folder, record)
        except OSError as error:
            raise cannot_write(self.folder, "the exercise", error) from error
        return record

    def to(self, record: ExerciseRecord, phase: ExercisePhase) -> ExerciseRecord:
        """Return the record in another phase, after it was written."""
        return self.write(replace(record, phase=phase))

    def end(self) -> None:
        """Remove the record and the snapshot, first by one rename. Raises OSError."""
        gone = self.home / f".{_FOLDER}.new"
        if os.path.lexists(gone):
            snapshot.remove(gone)
        self.folder.rename(gone)
        files.sync_directory(self.home)
        snapshot.remove(gone)


@contextmanager
def alone(desk: ExerciseStore, *, making: bool = False) -> Iterator[None]:
    """Let one run at a time in, by a lock on the folder; ``making``: make it, and remove it if it stays empty.

    Raises:
        RefusedError: another run is at it, or the folder cannot be written.
    """
    try:
        if making:
            with beneath(desk.root.path, f"{HOME}/{_FOLDER}", make_mode=0o700), private_directory(desk.home):
                pass
        descriptor = os.open(desk.home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise cannot_write(desk.home, "the exercise", error) from error
    _HELD.add(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        text = f"{desk.home}: another `auditctl lab` is at work there"
        raise RefusedError(
            text, check="lock-held", fix="wait until it has finished, then run the command again"
        ) from error
    finally:
        with suppress(OSError):
            desk.home.rmdir()
        _HELD.discard(descriptor)
        os.close(descriptor)


def _let_go() -> None:
    """Close the lock in a child that outlives the run: else the kernel would keep it when the run dies."""
    for descriptor in _HELD:
        os.close(descriptor)
    _HELD.clear()


os.register_at_fork(after_in_child=_let_go)


def _read_record(text: str) -> ExerciseRecord:
    """Return the record; raise ValueError, TypeError, KeyError or AttributeError for another text."""
    fields = json.loads(text)
    server = tuple(fields.pop("server") or ()) or None
    record = ExerciseRecord(**{**fields, "phase": ExercisePhase(fields["phase"]), "server": server})
    if not all(is_plain(place) for place in record.places.values()):
        raise ValueError("a place is outside of the node")
    return record


def _write(folder: Path, record: ExerciseRecord) -> None:
    row = {**asdict(record), "phase": record.phase.value}
    files.replace_file(folder / _STATE, (json.dumps(row, indent=2) + "\n").encode(), None)
