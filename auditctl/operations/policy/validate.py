"""``policy list``, ``show``, ``validate``: the shipped policies, and what a server would make of others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from auditctl import facts
from auditctl.errors import UsageError
from auditctl.findings import Finding, Severity
from auditctl.operations.answer import CommandResult, finding_rows
from auditctl.operations.builtin_api import built_in
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy_files import Version, located, read, server_version, words
from auditctl.policy import lint
from auditctl.policy.coverage import State, coverage
from auditctl.policy.discovery import known_of, read_discovery
from auditctl.policy.lint_checks import CHECKS, NAMES, Known, LintCheck
from auditctl.policy.load import load
from auditctl.policy.types import Policy
from auditctl.report import finding_line

_BLIND = "detection-blind"


class ValidateOptions(NamedTuple):
    """The options of ``policy validate``."""

    files: tuple[str, ...]
    kubernetes: str | None = None
    strict: bool = False
    only: frozenset[str] = frozenset()
    allow: frozenset[str] = frozenset()
    rehearse: bool = False
    discovery: str = ""


class FileVerdict(NamedTuple):
    """What is to be said of one file. ``bad`` is what makes the exit code 1."""

    file: str
    accepted: bool
    dropped: tuple[str, ...]
    findings: tuple[Finding, ...]
    bad: bool

    def row(self) -> dict[str, Any]:
        """The contract's object."""
        return {
            "file": self.file,
            "accepted": self.accepted,
            "dropped": list(self.dropped),
            "findings": finding_rows(self.findings),
        }


def shipped() -> CommandResult:
    """The policies that ship with auditctl, each with what it is for."""
    rows = [{"name": name, "what": _purpose(name)} for name in facts.policy_names()]
    width = max(len(row["name"]) for row in rows)
    return CommandResult({"policies": rows}, tuple(f"{row['name']:{width}}  {row['what']}" for row in rows))


def show(name: str) -> CommandResult:
    """The text of a shipped policy. Raises RefusedError for a name that does not ship."""
    text = facts.policy_text(name)
    return CommandResult(
        {"name": name, "what": _purpose(name), "text": text}, tuple(text.removesuffix("\n").split("\n"))
    )


def _purpose(name: str) -> str:
    """What the first paragraph of its header says, the name left out."""
    told = []
    for line in facts.policy_text(name).splitlines():
        said = line.removeprefix("#").strip()
        if not line.startswith("#") or not said:
            break
        told.append(said)
    return " ".join(told).removeprefix(f"{name}:").strip()


def validate(plane: ControlPlane, asked: ValidateOptions) -> CommandResult:
    """What that server would refuse, what it would silently drop, and what is surely not meant, for each file.

    Raises:
        RefusedError: a file cannot be read; nothing is said of the others.
        UsageError: no file, an unknown check, a wrong version.
    """
    _check_names(asked)
    version = server_version(plane, asked.kubernetes)
    known = known_for(asked.discovery, version)
    texts = [read(name) for name in asked.files]
    verdicts = [_judge(text.name, text.raw, version, asked, known) for text in texts]
    if asked.rehearse:
        verdicts = [_rehearsed(plane, text.raw, verdict) for text, verdict in zip(texts, verdicts, strict=True)]
    bad = [verdict for verdict in verdicts if verdict.bad]
    return CommandResult(
        {"files": [verdict.row() for verdict in verdicts]},
        tuple(line for verdict in verdicts for line in _lines(verdict, version)),
        _summary(verdicts, bad, version),
        exit_code=1 if bad else 0,
    )


def _rehearsed(plane: ControlPlane, raw: bytes, verdict: FileVerdict) -> FileVerdict:
    """The verdict, and what the node's own server says; it has the last word."""
    from auditctl.operations.evidence import trial_start

    found = tuple(trial_start.of_policy(plane, raw, verdict.file))
    bad = verdict.bad or any(finding.severity is Severity.ERROR for finding in found)
    return verdict._replace(findings=(*verdict.findings, *found), bad=bad)


def _check_names(asked: ValidateOptions) -> None:
    if not asked.files:
        raise UsageError("no policy is named", fix="auditctl policy validate FILE... (or --list for the checks)")
    for option, names, known in (("--only", asked.only, NAMES), ("--allow", asked.allow, NAMES)):
        unknown = sorted(names - set(known))
        if unknown:
            raise UsageError(f"{option} {unknown[0]}: no such check", fix=f"choose of: {', '.join(known)}")


def _judge(name: str, raw: bytes, version: Version, asked: ValidateOptions, known: Known) -> FileVerdict:
    loaded = load(raw, version)
    told = lint.with_consequences(located(name, loaded), loaded)
    warned = lint.warnings(raw, loaded.policy, known, asked.only, loaded.places) if loaded.policy else ()
    findings = (
        *(_weighed(finding, asked, accepted=loaded.policy is not None) for finding in told),
        *(finding._replace(file=name) for finding in warned if finding.check not in asked.allow),
        *(_blind(name, loaded.policy) if loaded.policy and _BLIND in asked.only else ()),
    )
    severities = {finding.severity for finding in findings}
    bad = Severity.ERROR in severities or (asked.strict and Severity.WARNING in severities)
    return FileVerdict(name, loaded.policy is not None, loaded.dropped, findings, bad or loaded.policy is None)


def _blind(name: str, policy: Policy) -> Iterator[Finding]:
    """One line for all detections that can never fire: which, and why, `policy coverage` tells."""
    from auditctl.operations.policy.coverage import chosen_detections

    states = [each.state for each in coverage(policy, chosen_detections(()))]
    if blind := states.count(State.BLIND):
        message = f"{blind} of {len(states)} public detections can never fire"
        fix = f"see auditctl policy coverage {name}"
        yield Finding(_BLIND, Severity.INFO, message, fix, "rules", name, 1, 1)


def known_for(discovery: str, version: Version) -> Known:
    """Return what a cluster serves by its file of discovery, or what a server of that version has of its own.

    Raises:
        PolicyError: the file has another format; RefusedError: it cannot be read.
    """
    if not discovery:
        return built_in(version)
    text = read(discovery, "discovery")
    return known_of(read_discovery(text.raw, text.name), built_in(version))


def _weighed(finding: Finding, asked: ValidateOptions, *, accepted: bool) -> Finding:
    """What is allowed is a warning at most; nothing that the server refuses is."""
    return finding._replace(severity=Severity.WARNING) if accepted and finding.check in asked.allow else finding


def _lines(verdict: FileVerdict, version: Version) -> Iterator[str]:
    yield from (finding_line(finding) for finding in verdict.findings)
    if not verdict.accepted:
        yield f"{verdict.file}: {words(version)} would refuse to start with it"
    elif verdict.dropped:
        yield f"{verdict.file}: {words(version)} would load it without {', '.join(verdict.dropped)}"
    else:
        yield f"{verdict.file}: accepted by {words(version)}"


def _summary(verdicts: list[FileVerdict], bad: list[FileVerdict], version: Version) -> str:
    if len(verdicts) == 1:
        return ""
    files = f"{len(verdicts)} policies"
    return f"{files}, {len(bad)} of them not as they should be" if bad else f"{files}, all accepted by {words(version)}"


def checks() -> CommandResult:
    """Every check of ``validate``: its name, reason, example and fix."""
    rows = [
        {
            "check": check.name,
            "severity": check.severity.value,
            "reason": check.reason,
            "example": check.example,
            "fix": check.fix,
        }
        for check in CHECKS
    ]
    return CommandResult({"checks": rows}, tuple(_check_lines(CHECKS)))


def _check_lines(known: Iterable[LintCheck]) -> Iterator[str]:
    for check in known:
        yield f"{check.name} ({check.severity.value}): {check.reason}"
        yield f"    example: rules: {' '.join(check.example.split())}"
        yield f"    fix: {check.fix}"
