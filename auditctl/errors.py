"""Every error of ours, under one root. A family carries the exit code that tells the state of the node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    from auditctl.findings import Finding


NOTHING_CHANGED = "; nothing was changed"


class Place(NamedTuple):
    """Where in a text an error stands: file name as shown to the user, line and column from 1 (0: unknown)."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part)


class AuditctlError(Exception):
    """Root of all. ``message`` says what and where, ``fix`` the one next step, ``check`` the machine-readable reason."""

    exit_code: ClassVar[int] = 70
    outcome: ClassVar[str] = "Stranded"
    usual_fix: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        check: str = "",
        fix: str = "",
        place: Place | None = None,
        findings: Sequence[Finding] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.findings = tuple(findings)
        # what the run did before it came to this: an interrupted change recovered
        self.earlier: tuple[Finding, ...] = ()
        self.check = check or type(self).__name__.removesuffix("Error").lower()
        self.fix = fix or self.usual_fix
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class UsageError(AuditctlError):
    """The command line is wrong; nothing was looked at."""

    exit_code = 2
    outcome = "Refused"


class RefusedError(AuditctlError):
    """Refused, and nothing was changed; its text says so."""

    exit_code = 3
    outcome = "Refused"

    def __str__(self) -> str:
        return super().__str__() + NOTHING_CHANGED


class ManifestError(RefusedError):
    """The manifest cannot be edited exactly, or cannot be read as a Pod."""

    usual_fix = "write that place as kubeadm does (plain block lists, one flag an item), then run the command again"


class PolicyError(RefusedError):
    """The policy is not one that the API server would load as it is meant."""


class StrandedError(AuditctlError):
    """Tried, failed, and not put back or not confirmable: a human is needed."""

    exit_code = 5
    outcome = "Stranded"


class InterruptionError(AuditctlError):
    """Interrupted: nothing changed, or undone and serving."""

    exit_code = 130
    outcome = "Interrupted"


class BugError(AuditctlError):
    """A bug of ours: a proof failed. Nothing half-written without a journal entry that says so."""

    exit_code = 70
    outcome = "Refused"
