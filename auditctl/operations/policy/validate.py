"""``policy list``, ``show``, ``validate``: the shipped policies, and what a server would make of others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from auditctl import facts
from auditctl.errors import UsageError
from auditctl.findings import Finding, Severity
from auditctl.operations.answer import CommandResult, ReviewCase, finding_rows
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy.discovered import known_for
from auditctl.operations.policy.sources import PolicySource, policy_sources
from auditctl.operations.policy_files import Version, located, server_version, unknown_version, words
from auditctl.policy import lint
from auditctl.policy.coverage import State, coverage
from auditctl.policy.json_schema import MODELINE
from auditctl.policy.lint_checks import CHECKS, NAMES, Known, LintCheck
from auditctl.policy.load import load
from auditctl.policy.types import Policy
from auditctl.report import finding_line

_BLIND = "detection-blind"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateOptions:
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
        """Return the contract's object."""
        return {
            "file": self.file,
            "accepted": self.accepted,
            "dropped": list(self.dropped),
            "findings": finding_rows(self.findings),
        }


def shipped() -> CommandResult:
    """Return the policies that ship with auditctl, each with what it is for."""
    rows = [{"name": name, "what": _purpose(name)} for name in facts.policy_names()]
    width = max(len(row["name"]) for row in rows)
    return CommandResult(
        document={"policies": rows}, lines=tuple(f"{row['name']:{width}}  {row['what']}" for row in rows)
    )


def show(name: str, *, modeline: bool = False) -> CommandResult:
    """Return the text of a shipped policy, on request behind the modeline of editors.

    Raises:
        RefusedError: no policy of that name ships.
    """
    text = f"{MODELINE}\n" * modeline + facts.policy_text(name)
    return CommandResult(
        document={"name": name, "what": _purpose(name), "text": text},
        lines=tuple(text.removesuffix("\n").split("\n")),
        verbatim=True,
    )


def _purpose(name: str) -> str:
    """Return what the first paragraph of its header says, the name left out."""
    sentences = []
    for line in facts.policy_text(name).splitlines():
        said = line.removeprefix("#").strip()
        if not line.startswith("#") or not said:
            break
        sentences.append(said)
    return " ".join(sentences).removeprefix(f"{name}:").strip()


def validate(plane: ControlPlane, options: ValidateOptions) -> CommandResult:
    """Return what that server would refuse, what it would silently drop, and what is surely not meant, for each file.

    Raises:
        RefusedError: a file cannot be read; nothing is said of the others.
        UsageError: no file, an unknown check, a wrong version.
    """
    _check_names(options)
    version = server_version(plane, options.kubernetes)
    known = known_for(plane, options.discovery, version)
    sources = policy_sources(options.files)
    verdicts = [_judge(source, version, options, known) for source in sources]
    if options.rehearse:
        verdicts = [_rehearsed(plane, source.raw, verdict) for source, verdict in zip(sources, verdicts, strict=True)]
    bad = [verdict for verdict in verdicts if verdict.bad]
    summary, code = _summary(verdicts, bad, version), 1 if bad else 0
    if options.rehearse and (undone := _not_rehearsed(verdicts)) and not bad:
        summary, code = f"the trial start that was asked for (--rehearse) was not done: {undone}", 3
    return CommandResult(
        document={"files": [verdict.row() for verdict in verdicts]},
        lines=tuple(line for verdict in verdicts for line in _lines(verdict, version)),
        summary=summary,
        exit_code=code,
        notes=unknown_version(version),
        findings=tuple(finding for verdict in verdicts for finding in verdict.findings),
        cases=tuple(_case(source.name, verdict) for source, verdict in zip(sources, verdicts, strict=True)),
    )


def _not_rehearsed(verdicts: list[FileVerdict]) -> str:
    """Return why the node's own server was not asked; empty where it was."""
    from auditctl.operations.evidence.trial_start import NOT_DONE

    messages = (finding.message for verdict in verdicts for finding in verdict.findings)
    return next((text.removeprefix(NOT_DONE) for text in messages if text.startswith(NOT_DONE)), "")


def _case(file: str, verdict: FileVerdict) -> ReviewCase:
    weighty = [finding for finding in verdict.findings if finding.severity is not Severity.INFO]
    failure = "; ".join(finding_line(finding) for finding in weighty) or "refused"
    return ReviewCase(verdict.file, file, weighty[0].line if weighty else 0, failure if verdict.bad else "")


def _rehearsed(plane: ControlPlane, raw: bytes, verdict: FileVerdict) -> FileVerdict:
    """Return the verdict, and what the node's own server says; it has the last word."""
    from auditctl.operations.evidence import trial_start

    refusals = tuple(trial_start.of_policy(plane, raw, verdict.file))
    bad = verdict.bad or any(finding.severity is Severity.ERROR for finding in refusals)
    return verdict._replace(findings=(*verdict.findings, *refusals), bad=bad)


def _check_names(options: ValidateOptions) -> None:
    if not options.files:
        raise UsageError("no policy is named", fix="auditctl policy validate FILE... (or --list for the checks)")
    for option, names, known in (("--only", options.only, NAMES), ("--allow", options.allow, NAMES)):
        unknown = sorted(names - set(known))
        if unknown:
            raise UsageError(f"{option} {unknown[0]}: no such check", fix=f"choose of: {', '.join(known)}")


def _judge(source: PolicySource, version: Version, options: ValidateOptions, known: Known) -> FileVerdict:
    name, raw = source.name, source.raw
    loaded = load(raw, version)
    problems = lint.with_consequences(located(name, loaded), loaded)
    warned = lint.warnings(raw, loaded.policy, known, options.only, loaded.places) if loaded.policy else ()
    findings = (
        *(_weighed(finding, options, accepted=loaded.policy is not None) for finding in problems),
        *(finding for finding in warned if finding.check not in options.allow),
    )
    findings = (
        *map(source.placed, findings),
        *(_blind(name, loaded.policy) if loaded.policy and _BLIND in options.only else ()),
    )
    severities = {finding.severity for finding in findings}
    bad = Severity.ERROR in severities or (options.strict and Severity.WARNING in severities)
    return FileVerdict(source.title, loaded.policy is not None, loaded.dropped, findings, bad or loaded.policy is None)


def _blind(name: str, policy: Policy) -> Iterator[Finding]:
    """Yield one line for all detections that can never fire: which, and why, `policy coverage` tells."""
    from auditctl.operations.policy.coverage import chosen_detections

    states = [each.state for each in coverage(policy, chosen_detections(()))]
    if blind := states.count(State.BLIND):
        message = f"{blind} of {len(states)} public detections can never fire"
        fix = f"see auditctl policy coverage {name}"
        yield Finding.note(_BLIND, message, fix, path="rules", file=name, line=1, column=1)


def _weighed(finding: Finding, options: ValidateOptions, *, accepted: bool) -> Finding:
    """Return what is allowed is a warning at most; nothing that the server refuses is."""
    return replace(finding, severity=Severity.WARNING) if accepted and finding.check in options.allow else finding


def _lines(verdict: FileVerdict, version: Version) -> Iterator[str]:
    yield from (finding_line(finding) for finding in verdict.findings)
    if not verdict.accepted:
        yield f"{verdict.file}: {words(version)} would refuse to start with it"
    elif verdict.dropped:
        yield f"{verdict.file}: {words(version)} would load it without {', '.join(verdict.dropped)}"
    else:
        warnings = sum(finding.severity is Severity.WARNING for finding in verdict.findings)
        counted = f", {warnings} warning{'s' if warnings > 1 else ''}" if warnings else ""
        yield f"{verdict.file}: accepted by {words(version)}{counted}"


def _summary(verdicts: list[FileVerdict], bad: list[FileVerdict], version: Version) -> str:
    if len(verdicts) == 1:
        return ""
    files = f"{len(verdicts)} policies"
    return f"{files}, {len(bad)} of them not as they should be" if bad else f"{files}, all accepted by {words(version)}"


def checks() -> CommandResult:
    """Return every check of ``validate``: its name, reason, example and fix."""
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
    return CommandResult(document={"checks": rows}, lines=tuple(_check_lines(CHECKS)))


def _check_lines(known: Iterable[LintCheck]) -> Iterator[str]:
    for check in known:
        yield f"{check.name} ({check.severity.value}): {check.reason}"
        yield f"    example: rules: {' '.join(check.example.split())}"
        yield f"    fix: {check.fix}"
