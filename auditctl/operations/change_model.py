"""The values of a change: what is to be done, how, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from auditctl.findings import ChangeRecord, Check, Finding, Receipt, Timings
from auditctl.report import Outcome

if TYPE_CHECKING:  # --help needs no YAML
    from auditctl.manifest.plan import Plan
    from auditctl.manifest.pod import Manifest
    from auditctl.node.apiserver.process import Process
    from auditctl.node.change.file_edit import FileEdit
    from auditctl.node.change.files import Snapshot

# Checks that `--allow` can turn from an error into a warning (contract, enable).
ALLOWED_CHECKS = (
    "dropped-fields",
    "webhook-reachable",
    "blocking-strict",
    "webhook-blocking",
    "foreign-manager",
    "stray-manifests",
    "apiserver-ready",
    "no-receipt",
    "shared-log-directory",
    "system-log-directory",
    "other-control-planes",
    "single-file-log",
    "kubeadm-at-work",
)


class ChangeOptions(NamedTuple):
    """The options of every changing command. ``drain_seconds`` None: the default, which depends on the node."""

    timeout_seconds: float = 300.0
    drain_seconds: float | None = None
    wait: bool = True
    rollback: bool = True
    dry_run: bool = False
    strict: bool = False
    allow: frozenset[str] = frozenset()
    persist: bool = False


class Restart(Enum):
    """How the API server comes to read the new settings."""

    REPLACE_POD = "the kubelet replaces the Pod"
    IN_PLACE = "the kubelet restarts the container in its Pod"
    NONE = "no restart is needed"


class Proof(NamedTuple):
    """What was seen after the restart."""

    checks: tuple[Check, ...] = ()
    receipt: Receipt | None = None


class Deadline(NamedTuple):
    """How long a proof may take: until ``deadline`` (seconds of the monotonic clock), or until the user asks to stop."""

    deadline: float
    interrupted: Callable[[], bool] = lambda: False


ProofFunction = Callable[["Process", Deadline], Proof]


def nothing_more(process: Process, patience: Deadline) -> Proof:  # noqa: ARG001 (the shape of a proof)
    """Serving with the new command line is proof enough."""
    return Proof()


class PlannedChange(NamedTuple):
    """A change, decided. ``edits`` are the files beside the manifest; ``directories`` are to be there afterwards."""

    command: str
    summary: str
    snapshot: Snapshot
    before: Manifest
    after: Manifest
    plan: Plan
    edits: tuple[FileEdit, ...] = ()
    directories: tuple[Path, ...] = ()
    restart: Restart = Restart.REPLACE_POD
    undoes: tuple[str, ...] = ()
    prove: ProofFunction = nothing_more
    afterwards: tuple[str, ...] = ()  # what the run does behind the change, as commands that do it alone

    @property
    def may_be_left_alone(self) -> bool:
        """Is the Pod announced anew just as it runs already, so that the kubelet may see nothing to do?"""
        same = not self.plan.changes and self.before.command == self.after.command
        return same and self.restart is Restart.REPLACE_POD

    @property
    def new_text(self) -> bytes:
        """The manifest's bytes after the change."""
        return self.plan.after.encode() if self.plan.changes else self.snapshot.content


class ChangeResult(NamedTuple):
    """How a change ended. ``failure`` is one sentence, empty where it went well."""

    outcome: Outcome
    change: ChangeRecord | None = None
    failure: str = ""
    checks: tuple[Check, ...] = ()
    receipt: Receipt | None = None
    timings: Timings = Timings()
    findings: tuple[Finding, ...] = ()
    next_steps: tuple[str, ...] = ()
    proved: bool = False
