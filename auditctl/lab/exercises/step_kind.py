"""The base class of steps, and the node that they are run on. Nothing is kept here: the snapshot was taken before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, NamedTuple

from auditctl.errors import RefusedError
from auditctl.lab.exercises.target_node import PracticeNode
from auditctl.lab.grading.fields import Fields
from auditctl.node.change import files
from auditctl.node.change.files import Snapshot
from auditctl.node.path_trust import beneath
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.settings import LOG_FLAG, LOG_PATH, POLICY_FLAG, POLICY_PATH, WEBHOOK_FLAG, WEBHOOK_PATH

ROLES = ("manifest", "policy", "log", "webhook")


class Places(NamedTuple):
    """The files that the node's manifest names, as paths of the node, from before the exercise broke anything."""

    manifest: str
    policy: str = POLICY_PATH
    log: str = LOG_PATH
    webhook: str = WEBHOOK_PATH

    @classmethod
    def of(cls, plane: ControlPlane) -> Places:
        """Return the places of a node. Raises RefusedError for a manifest that cannot be read."""
        manifest = plane.read_manifest()[1]

        def place(flag: str, usual: str) -> str:
            value = manifest.flag(flag)
            mounted = manifest.host_path(value) if value and value != "-" else None
            return str(mounted.path) if mounted is not None else usual

        backends = (place(LOG_FLAG, LOG_PATH), place(WEBHOOK_FLAG, WEBHOOK_PATH))
        return cls(plane.manifest, place(POLICY_FLAG, POLICY_PATH), *backends)

    def path(self, file: str) -> str:
        """Return the path of the node for a FILE of a step: a role or a path."""
        return str(getattr(self, file)) if file in ROLES else file


class StepError(RefusedError):
    """A step of an exercise cannot be done on this node."""

    usual_fix = "auditctl lab reset"


class StepTarget(NamedTuple):
    """The node that a step changes, the files that its manifest names, and the options of commands."""

    ground: PracticeNode
    places: Places
    options: ChangeOptions

    def host(self, file: str) -> Path:
        """Return the place on this machine. Raises StepError for one that a link or `..` leads out of the node."""
        root, path = self.ground.plane.root, self.places.path(file)
        try:
            with beneath(root.path, path):
                pass
        except (FileNotFoundError, NotADirectoryError):  # the step itself makes it, or fails with a better message
            pass
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            text = f"{error.filename or path}: {reason}: it is not on the way to a file of this node"
            raise StepError(text, check="lab-step") from error
        return root.host(path)

    def put(self, file: str, content: bytes, mode: int | None = None) -> None:
        """Write a whole file by one rename; without ``mode`` it keeps the mode that it had."""
        path = self.host(file)
        files.make_directories(path.parent, 0o755)
        like = files.read_if_there(path, "file") or Snapshot(content=b"")
        files.replace_file(path, content, replace(like, mode=mode) if mode is not None else like)


@dataclass(frozen=True, slots=True)
class ExerciseStep(ABC):
    """One step. A subclass is a kind: how it is written in YAML, the files it names, its effect, and its text.

    ``words`` is the text of a kind that names no file.
    """

    kind: ClassVar[str] = ""
    words: ClassVar[str] = ""

    @classmethod
    def parse(cls, given: Fields) -> ExerciseStep:
        """Return the step that ``given`` describes; here, of a kind that is written with `true`.

        Raises:
            RequirementError: the value has not the form of this kind.
        """
        given.be(True)  # noqa: FBT003 (the word that is written)
        return cls()

    @property
    def files(self) -> tuple[str, ...]:
        """Return the files that the step names: roles, or paths of the node."""
        return ()

    @property
    def starts_server(self) -> bool:
        """Return whether the kubelet starts another API server after this step, if there is one."""
        return "manifest" in self.files

    @abstractmethod
    def run(self, target: StepTarget) -> None:
        """Do the step.

        Raises:
            OSError: a file cannot be read or written.
            StepError: the step cannot be done, or the command that it stands for did not succeed.
            AuditctlError: what that command raises.
        """

    def text(self, places: Places) -> str:  # noqa: ARG002 (for subclasses)
        """Return the step as a person would do it by hand: one line with the paths of the node."""
        return self.words


def file_of(given: Fields, name: str) -> str:
    """Return the FILE under ``name``: a role, or a path of the node. Raises RequirementError."""
    text = given.text(name)
    return text if text in ROLES else given.path(name)
