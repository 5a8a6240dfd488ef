"""Define the values of a change: its options, the decision, the planned change, the result."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from auditctl.findings import ChangeRecord, Check, Finding, Receipt, StandbyUse, Timings
from auditctl.report import Outcome, Report

if TYPE_CHECKING:  # --help needs no YAML
    from auditctl.manifest.plan import Plan
    from auditctl.manifest.pod import Manifest
    from auditctl.node.apiserver.process import Process
    from auditctl.node.change.change import Change
    from auditctl.node.change.file_edit import FileEdit
    from auditctl.node.change.files import Snapshot
    from auditctl.node.kubelet.restart import OutgoingProcess, RestartWaiter
    from auditctl.node.preflight.node_checks import HostPaths
    from auditctl.operations.controlplane import ControlPlane
    from auditctl.operations.level_changes import PolicyStep

# Checks that `--allow` can turn from an error into a warning.
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
    "log-deletion",
    "other-control-planes",
    "single-file-log",
    "kubeadm-at-work",
    "untrusted-listener",
    "static-pod-path",
    "turn-held",
    "kubelet-not-running",
    "runtime-not-running",
)


class NoDowntime(Enum):
    """Whether a standby server serves while the API server restarts: never, where it can, or else no change."""

    OFF = "off"
    AUTO = "auto"
    REQUIRED = "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOptions:
    """The options of every changing command.

    ``drain_seconds`` None: the default, which depends on the node. ``assume_yes``: nobody is asked before a restart.
    ``no_downtime``: whether a standby server serves meanwhile. ``turn_seconds``: how long to wait while another control
    plane of the cluster is being changed, or does not serve.
    """

    timeout_seconds: float = 300.0
    drain_seconds: float | None = None
    wait: bool = True
    rollback: bool = True
    dry_run: bool = False
    strict: bool = False
    allow: frozenset[str] = frozenset()
    persist: bool = False
    assume_yes: bool = False
    no_downtime: NoDowntime = NoDowntime.OFF
    turn_seconds: float = 0.0


class Restart(Enum):
    """How the API server comes to read the new settings."""

    REPLACE_POD = "the kubelet replaces the Pod"
    IN_PLACE = "the kubelet restarts the container in its Pod"
    NONE = "no restart is needed"


class Proof(NamedTuple):
    """The checks that were made after the restart, and the receipt among them."""

    checks: tuple[Check, ...] = ()
    receipt: Receipt | None = None


class Deadline(NamedTuple):
    """A time limit in seconds of the monotonic clock, and whether the user has interrupted the run."""

    deadline: float = math.inf
    interrupted: Callable[[], bool] = lambda: False


ProofFunction = Callable[["Process", Deadline], Proof]


def nothing_more(process: Process, patience: Deadline) -> Proof:  # noqa: ARG001 (the shape of a proof)
    """Return an empty proof: a server that is ready with the new command line is proof enough."""
    return Proof()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChange:
    """One change of the node, decided but not performed.

    ``edits`` are the files beside the manifest, ``directories`` exist afterwards, ``paths`` are the audit files of
    ``after``. ``afterwards``: the commands that do alone what the run does behind the change, for the journal.
    """

    command: str
    summary: str
    snapshot: Snapshot
    before: Manifest
    after: Manifest
    plan: Plan
    paths: HostPaths
    edits: tuple[FileEdit, ...] = ()
    directories: tuple[Path, ...] = ()
    restart: Restart = Restart.REPLACE_POD
    undoes: tuple[str, ...] = ()
    prove: ProofFunction = nothing_more
    afterwards: tuple[str, ...] = ()

    @property
    def may_be_left_alone(self) -> bool:
        """Return whether the same Pod is only announced again, so that the kubelet may find nothing to do."""
        same = not self.plan.changes and self.before.command == self.after.command
        return same and self.restart is Restart.REPLACE_POD

    @property
    def new_text(self) -> bytes:
        """Return the manifest's bytes after the change."""
        return self.plan.after.encode() if self.plan.changes else self.snapshot.content


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeResult:
    """How a change ended. ``failure`` is one sentence, empty where it went well."""

    outcome: Outcome
    change: ChangeRecord | None = None
    failure: str = ""
    checks: tuple[Check, ...] = ()
    receipt: Receipt | None = None
    timings: Timings = Timings()
    standby: StandbyUse | None = None
    findings: tuple[Finding, ...] = ()
    next_steps: tuple[str, ...] = ()
    proved: bool = False


def same_result(result: ChangeResult) -> ChangeResult:
    """Return the result as it is: the verb does nothing more behind its change."""
    return result


def same_report(report: Report) -> Report:
    """Return the report as it is: the verb adds nothing to it."""
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeDecision:
    """The decision of a verb: the planned change, and what the verb does itself behind it.

    ``nothing``: the node is so already; only the proof is taken. ``finish`` runs behind the change, under the lock; where
    there was nothing to do it gets the outcome UNCHANGED. ``conclude`` has the last word on the report, of a dry run too.
    ``follow_up`` decides a further change of the same run; the restart of this one is not waited for then. ``notes`` are
    lines of the plan that the verb knows alone; ``policies`` are compared for its user (None: nothing to compare).
    ``examined`` are files that the change leaves as they are, with the SHA-256 for which it was decided. ``standby``: a
    standby server serves during the restart.
    """

    planned: PlannedChange
    findings: tuple[Finding, ...] = ()
    nothing: bool = False
    finish: Callable[[ChangeResult], ChangeResult] = same_result
    conclude: Callable[[Report], Report] = same_report
    follow_up: Decide | None = None
    notes: tuple[str, ...] = ()
    examined: tuple[tuple[Path, str], ...] = ()
    policies: PolicyStep | None = None
    standby: bool = False


class Recovered(NamedTuple):
    """What a verb may use when it decides: the deadline, and findings about a recovered change."""

    deadline: Deadline = Deadline()
    findings: tuple[Finding, ...] = ()


# A Report instead of a ChangeDecision: there is nothing to change, and that is the whole answer.
Decide = Callable[[Recovered], "ChangeDecision | Report"]


class HeldTurn(Protocol):
    """The right to restart the API server while no other control plane of the cluster does, as a run needs it.

    ``change_id`` is the id of the change that it was taken for, ``identity`` the holder that the Lease names; both are
    empty where no Lease is held.
    """

    change_id: str
    identity: str

    def renew(self, seconds: float) -> None:
        """Keep it for that many seconds from now on."""

    def give_back(self) -> None:
        """Let another control plane have it."""


class Session(NamedTuple):
    """The right to change this node: findings about an interrupted change, descriptors of its locks, its turn."""

    plane: ControlPlane
    deadline: Deadline
    recovered: tuple[Finding, ...] = ()
    locks: tuple[int, ...] = ()
    turn: HeldTurn | None = None


class StandbyServer(Protocol):
    """A standby server as the watchdog needs it."""

    @property
    def is_left(self) -> bool:
        """Tell whether it was started and has not been ended."""

    def resume(self) -> None:
        """Keep the redirect up in the place of a run that has died."""


class GuardedRun(Protocol):
    """The run of a change, as far as its watchdog needs it to go on after the run has died or hung."""

    session: Session
    planned: PlannedChange
    options: ChangeOptions
    change: Change
    before: Process | None
    outgoing: OutgoingProcess | None
    drain: float
    findings: tuple[Finding, ...]
    renamed_at: float
    first_renamed_at: float
    longest_end: float  # seconds that the first of two renames may take to end the old Pod

    @property
    def standby(self) -> StandbyServer | None:
        """Return the standby server of the change, if it has one."""

    def seconds_left(self, renamed_at: float | None) -> float:
        """Return the seconds to the deadline of the change."""

    def patience(self) -> float:
        """Return how long the restart may still take."""

    def prove_or_undo(self, watch: RestartWaiter) -> ChangeResult:
        """Wait for the restart and prove it; undo the change where that fails."""

    def undo(self, failure: str, outcome: Outcome, checks: tuple[Check, ...] = ()) -> ChangeResult:
        """Put the old configuration back and wait until it is ready."""
