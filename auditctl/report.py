"""All that a run has to say: its text, its JSON, its exit code. Pure; nothing is printed here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any

from auditctl.errors import AuditctlError, Place
from auditctl.findings import (
    ChangeRecord,
    Finding,
    Receipt,
    Settled,
    Severity,
    StandbyUse,
    Status,
    Timings,
    Verification,
)
from auditctl.hints import Invocation
from auditctl.redaction import redacted_urls, redacted_values


class Outcome(Enum):
    """How a run ended, as the state of the node."""

    CHANGED = "Changed"
    UNCHANGED = "Unchanged"
    REFUSED = "Refused"
    ROLLED_BACK = "RolledBack"
    STRANDED = "Stranded"
    NEGATIVE = "Negative"
    INTERRUPTED = "Interrupted"


EXIT_CODES: Mapping[Outcome, int] = {
    Outcome.CHANGED: 0,
    Outcome.UNCHANGED: 0,
    Outcome.NEGATIVE: 1,
    Outcome.REFUSED: 3,
    Outcome.ROLLED_BACK: 4,
    Outcome.STRANDED: 5,
    Outcome.INTERRUPTED: 130,
}

_RED, _GREEN, _YELLOW, _CYAN, _BOLD, _OFF = (f"\x1b[{code}m" for code in (31, 32, 33, 36, 1, 0))
Paint = Callable[[str, str], str]

_SEVERITY_COLOURS = {Severity.ERROR: _RED, Severity.WARNING: _YELLOW, Severity.INFO: _CYAN}
_STATUS_MARKS = {Status.PASSED: ("ok", _GREEN), Status.FAILED: ("no", _RED), Status.UNKNOWN: ("??", _YELLOW)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestChange:
    """The manifest's path, digests before and after, the text that changes, and why (one reason an operation).

    ``plan`` is what a program wants to know of the whole change (`auditctl.operations.change.report.plan_row`), None where there is none.
    """

    path: str
    before: str | None = None
    after: str | None = None
    diff: str = ""
    patch: tuple[Mapping[str, Any], ...] = ()
    reasons: tuple[str, ...] = ()
    plan: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One object for every command on the node. ``details`` are a command's own keys (``history``, ``status``)."""

    command: str
    outcome: Outcome
    summary: str
    manifest: ManifestChange
    changed: bool = False
    code: int | None = None
    settings: Settled | None = None
    findings: tuple[Finding, ...] = ()
    verification: Verification = Verification()
    receipt: Receipt | None = None
    timings: Timings = Timings()
    standby: StandbyUse | None = None
    change: ChangeRecord | None = None
    next_steps: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    show_diff: bool = False
    lines_first: bool = False  # the lines are the answer, and the findings what is to be said of it

    @property
    def exit_code(self) -> int:
        """Return the state of the node as a number (docs/reference/exit-codes.md)."""
        return EXIT_CODES[self.outcome] if self.code is None else self.code

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a document: keys are stable, unknown values are None (docs/reference/report.md)."""
        document = {
            "apiVersion": "auditctl/v1",
            "kind": "Report",
            "command": self.command,
            "outcome": self.outcome.value,
            "changed": self.changed,
            "exitCode": self.exit_code,
            "summary": self.summary,
            "manifest": _manifest(self.manifest),
            "settings": _settings(self.settings),
            "findings": [finding_row(finding) for finding in self.findings],
            "verification": {
                "holds": self.verification.holds,
                "checks": [
                    {"name": check.name, "status": check.status.value, "detail": check.detail}
                    for check in self.verification.checks
                ],
            },
            "receipt": _receipt(self.receipt),
            "timings": asdict(self.timings),
            "standby": _standby(self.standby),
            "change": self.change._asdict() if self.change else None,
            "nextSteps": list(self.next_steps),
            **self.details,
        }
        return {key: redacted_values(value) for key, value in document.items()}

    def to_text(self, *, colour: bool = False, quiet: bool = False) -> str:
        """What a person reads: findings, what changed and why, what was proved, the one sentence, the next steps."""
        return redacted_urls("\n".join(self._text(_paint if colour else _plain, quiet=quiet)))

    def pasteable(self, invocation: Invocation) -> Report:
        """Return the report with every command that it names as it has to be typed (program, global options).

        Texts of the user's (the diff, the patch, ``details``) stay as they are.
        """
        typed = invocation.pasteable
        checks = (check._replace(detail=typed(check.detail)) for check in self.verification.checks)
        return replace(
            self,
            summary=typed(self.summary),
            findings=tuple(finding.pasteable(invocation) for finding in self.findings),
            verification=self.verification._replace(checks=tuple(checks)),
            next_steps=tuple(map(typed, self.next_steps)),
            lines=tuple(invocation.pasteable_lines(self.lines)),
        )

    def _text(self, paint: Paint, *, quiet: bool) -> Iterator[str]:
        if not quiet:
            if self.show_diff:
                yield from _diff(self.manifest, paint)
            shown = (finding for finding in self.findings if not _is_said(finding, self.summary))
            complaints = [finding_line(finding, paint) for finding in shown]
            yield from (*self.lines, *complaints) if self.lines_first else (*complaints, *self.lines)
            for check in self.verification.checks:
                mark, colour = _STATUS_MARKS[check.status]
                yield f"{paint(mark, colour)}  {check.name}: {check.detail}"
        yield paint(self.summary, _BOLD)
        yield from (f"next: {step}" for step in self.next_steps)


def _is_said(finding: Finding, summary: str) -> bool:
    """Is it the summary itself, with its place? Such an error is said once."""
    return finding.message in summary and (not finding.line or f":{finding.line}:{finding.column}" in summary)


def _paint(text: str, colour: str) -> str:
    return f"{colour}{text}{_OFF}"


def _plain(text: str, colour: str) -> str:  # noqa: ARG001 (the same shape as `_paint`)
    return text


def from_error(command: str, path: str, error: AuditctlError, findings: Iterable[Finding] = ()) -> Report:
    """A report for a run that ended in one of our errors."""
    return Report(
        command=command,
        outcome=Outcome(error.outcome),
        summary=str(error),
        manifest=ManifestChange(path=path),
        code=error.exit_code,
        findings=(*findings, *error.earlier, *(error.findings or (error_finding(error),))),
        next_steps=(error.fix,) if error.fix else (),
    )


def error_finding(error: AuditctlError, severity: Severity = Severity.ERROR) -> Finding:
    """Return ``error`` as a finding, with its place in the file where it has one."""
    place = error.place or Place("")
    return Finding(
        check=error.check,
        severity=severity,
        message=error.message,
        fix=error.fix,
        file=place.file,
        line=place.line,
        column=place.column,
    )


def finding_line(finding: Finding, paint: Paint = _plain) -> str:
    """``policy.yaml:14:5: error: rules[3].level: ... [check]``, with the fix behind it."""
    place = ":".join(str(part) for part in (finding.file, finding.line, finding.column) if part)
    where = f"{place}: " if finding.file else ""
    path = f"{finding.path}: " if finding.path else ""
    severity = paint(finding.severity.value, _SEVERITY_COLOURS[finding.severity])
    fix = f" ({finding.fix})" if finding.fix else ""
    return f"{where}{severity}: {path}{finding.message}{fix} [{finding.check}]"


def _diff(manifest: ManifestChange, paint: Paint) -> Iterator[str]:
    for line in manifest.diff.splitlines():
        colour = {"+": _GREEN, "-": _RED, "@": _CYAN}.get(line[:1], "")
        yield paint(line, colour) if colour else line


def _manifest(manifest: ManifestChange) -> dict[str, Any]:
    return {
        "path": manifest.path or None,
        "before": {"sha256": manifest.before},
        "after": {"sha256": manifest.after},
        "diff": manifest.diff,
        "patch": list(manifest.patch),
        "plan": manifest.plan,
    }


def _settings(settled: Settled | None) -> dict[str, Any]:
    if settled is None:
        return dict.fromkeys(Settled._fields)
    return {**settled._asdict(), "flags": dict(settled.flags)}


def finding_row(finding: Finding) -> dict[str, Any]:
    """One finding in the contract's shape; unknown values are None."""
    return {
        "check": finding.check,
        "severity": finding.severity.value,
        "path": finding.path or None,
        "file": finding.file or None,
        "line": finding.line or None,
        "column": finding.column or None,
        "message": finding.message,
        "fix": finding.fix or None,
    }


def _standby(use: StandbyUse | None) -> dict[str, Any] | None:
    if use is None:
        return None
    return {"port": use.port, "seconds": use.seconds, "connections": use.connections, "logFile": use.log}


def _receipt(receipt: Receipt | None) -> dict[str, Any] | None:
    if receipt is None:
        return None
    return {
        "auditID": receipt.audit_id,
        "file": receipt.file,
        "line": receipt.line,
        "level": receipt.level,
        "stage": receipt.stage,
        "rule": receipt.rule,
        "seconds": receipt.seconds,
        "grewBytes": receipt.grew_bytes,
        "request": receipt.request,
        "stages": list(receipt.stages),
        "distinguishes": receipt.distinguishes,
    }


def yaml_lines(value: Any, indent: int = 0) -> Iterator[str]:
    """A JSON value as YAML: block style with JSON scalars, for every JSON string is a YAML string."""
    blank = "  " * indent
    pairs = value.items() if isinstance(value, Mapping) else (("-", item) for item in value)
    for key, item in pairs:
        head = f"{blank}{key}:" if isinstance(value, Mapping) else f"{blank}-"
        if isinstance(item, Mapping | list) and item:
            yield head
            yield from yaml_lines(item, indent + 1)
        else:
            yield f"{head} {json.dumps(item)}"
