"""The values that wings hand upward: findings, evidence, receipts, verdicts. No behaviour beyond small derivations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Any, NamedTuple

from auditctl.hints import Invocation


class Severity(Enum):
    """How much a finding weighs: an error refuses, a warning is loud and goes on, an info is for the record."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One complaint. ``path`` is a field path (``rules[2].level``), ``line`` and ``column`` count from 1 (0: none)."""

    check: str
    severity: Severity
    message: str
    fix: str = ""
    path: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    @classmethod
    def error(cls, check: str, message: str, fix: str = "", **place: Any) -> Finding:
        """Return a finding that refuses; ``place`` are the fields ``path``, ``file``, ``line`` and ``column``."""
        return cls(check=check, severity=Severity.ERROR, message=message, fix=fix, **place)

    @classmethod
    def warning(cls, check: str, message: str, fix: str = "", **place: Any) -> Finding:
        """Return a finding that is printed and goes on."""
        return cls(check=check, severity=Severity.WARNING, message=message, fix=fix, **place)

    @classmethod
    def note(cls, check: str, message: str, fix: str = "", **place: Any) -> Finding:
        """Return a finding for the record."""
        return cls(check=check, severity=Severity.INFO, message=message, fix=fix, **place)

    def pasteable(self, invocation: Invocation) -> Finding:
        """Return the finding with the commands that it names as they have to be typed."""
        return replace(self, message=invocation.pasteable(self.message), fix=invocation.pasteable(self.fix))


class Status(Enum):
    """The outcome of one check. Unknown is not success."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Check(NamedTuple):
    """One thing that was looked at, and what was seen."""

    name: str
    status: Status
    detail: str = ""


class Verification(NamedTuple):
    """What is proved. ``holds`` is True only if every check passed, False if one failed, None if one is unknown."""

    checks: tuple[Check, ...] = ()

    @property
    def holds(self) -> bool | None:
        statuses = {check.status for check in self.checks}
        if Status.FAILED in statuses:
            return False
        return None if Status.UNKNOWN in statuses or not statuses else True


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The very event that we asked for, found in the log on the host.

    ``line`` counts from 1 in ``file`` (a host path); ``rule`` counts from 0, -1 is none; ``seconds`` from the request
    to the find; ``grew_bytes`` is what the log grew meanwhile.
    """

    audit_id: str
    file: str
    line: int
    level: str
    stage: str
    rule: int
    seconds: float
    grew_bytes: int
    request: str = ""
    stages: tuple[str, ...] = ()
    distinguishes: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds, measured with a monotonic clock; None where the step did not happen."""

    edit: float | None = None
    restart: float | None = None
    outage: float | None = None
    verify: float | None = None
    total: float | None = None
    standby: float | None = None


class StandbyUse(NamedTuple):
    """The use of a standby server: its port, seconds from its start to its end, connections that were led to it, its log."""

    port: int
    seconds: float
    connections: int | None
    log: str | None


class ChangeRecord(NamedTuple):
    """A change in the journal: its id, and the host path of the saved bytes."""

    id: str
    backup: str = ""


class Settled(NamedTuple):
    """What the manifest sets after the run: flags by name without dashes, and where the audit files are.

    ``effective`` has the value of every flag that matters, set or the version's default: ``{"value", "set"}`` by name.
    """

    flags: Mapping[str, str] = MappingProxyType({})
    policy: dict[str, str | None] | None = None
    log: dict[str, str | None] | None = None
    webhook: dict[str, str | None] | None = None
    effective: Mapping[str, Mapping[str, str | bool]] | None = None
