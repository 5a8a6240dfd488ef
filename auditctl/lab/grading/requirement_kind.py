"""The base class of requirements, and what several kinds read alike: requests, levels, stages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from auditctl.errors import AuditctlError
from auditctl.facts import NEWEST
from auditctl.findings import Check, Status
from auditctl.lab.grading.fields import Fields
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence.running_server import Running
from auditctl.operations.policy_files import built_in
from auditctl.policy.request_context import RequestContext, administrator
from auditctl.policy.shorthand import parse
from auditctl.policy.types import Attributes, Level, Stage


class RequestSpec(NamedTuple):
    """A request in the words of the author, and its attributes, which rules are matched with."""

    words: str
    attributes: Attributes

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True, slots=True)
class Requirement(ABC):
    """One requirement. A subclass is a kind: how it is written in YAML, its name in a report, and its verdict.

    ``kinds`` are the keywords that are read as this class; ``fields`` are the names allowed in a mapping, so that a
    misspelt one does not ask for less than its author meant; ``written`` is the value of a kind that has no other;
    ``subject`` is the attribute that the name of the check repeats.
    """

    kinds: ClassVar[tuple[str, ...]] = ()
    fields: ClassVar[tuple[str, ...]] = ()
    written: ClassVar[object] = True
    subject: ClassVar[str] = ""

    @classmethod
    def parse(cls, given: Fields) -> Requirement:
        """Return the requirement that ``given`` describes.

        Raises:
            RequirementError: the value has not the form of this kind.
        """
        given.be(cls.written)
        return cls()

    @property
    def name(self) -> str:
        """Return the name of the check: the kind, and its subject."""
        return f"{self.kinds[0]} {getattr(self, self.subject)}" if self.subject else self.kinds[0]

    @abstractmethod
    def judge(self, running: Running) -> Check:
        """Return the verdict on a node; the text says what was observed, never how to meet the requirement.

        Raises:
            ManifestError: a path of the manifest leads to no place of the host.
        """

    def judge_files(self, plane: ControlPlane) -> Check | None:  # noqa: ARG002 (for subclasses)
        """Return the verdict of a node without a readable manifest; None where this kind needs the manifest."""
        return None

    def passed(self, text: str) -> Check:
        """Return a passed check of this requirement."""
        return Check(self.name, Status.PASSED, text)

    def failed(self, text: str) -> Check:
        """Return a failed check of this requirement."""
        return Check(self.name, Status.FAILED, text)

    def unknown(self, text: str) -> Check:
        """Return a check of this requirement that could not be decided."""
        return Check(self.name, Status.UNKNOWN, text)


@dataclass(frozen=True, slots=True)
class ServerRequirement(Requirement):
    """A requirement that is judged only while the API server runs with the manifest's command line."""

    def judge(self, running: Running) -> Check:
        """Return a failed check for a server that runs with another command line, else `judge_running`."""
        if not running.is_of_manifest:
            return self.failed("no API server runs with the command line of the manifest")
        return self.judge_running(running)

    @abstractmethod
    def judge_running(self, running: Running) -> Check:
        """Return the verdict on a server that runs with the manifest's command line."""


def request_of(given: Fields, words: str) -> RequestSpec:
    """Return the request that ``words`` describe. Raises RequirementError."""
    try:
        return RequestSpec(words, parse(words, RequestContext(built_in(), NEWEST, administrator(NEWEST))))
    except AuditctlError as error:
        raise given.error(error.message, error.fix) from error


def request_and_level(given: Fields, text: str) -> tuple[RequestSpec, Level]:
    """Return the two sides of 'REQUEST -> LEVEL'. Raises RequirementError."""
    words, arrow, level = (part.strip() for part in text.rpartition("->"))
    if not arrow:
        raise given.error(f"{text!r} has no '->'", "write 'REQUEST -> LEVEL'")
    try:
        return request_of(given, words), Level(level)
    except ValueError as error:
        levels = ", ".join(one.value for one in Level)
        raise given.error(f"{level!r} is not a level", f"levels are {levels}") from error


def stage_of(given: Fields, text: str) -> Stage:
    """Return the stage of that name. Raises RequirementError."""
    try:
        return Stage(text)
    except ValueError as error:
        raise given.error(f"{text!r} is not a stage", f"stages are {', '.join(one.value for one in Stage)}") from error
