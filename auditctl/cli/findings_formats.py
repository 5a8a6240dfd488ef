"""Findings for pipelines: SARIF 2.1.0 (code scanning), JUnit XML (test reports), annotations of GitHub Actions.

One writer each for every command whose result has findings (``validate``, ``test``, ``diff``, ``coverage``). An error
of a policy that was read is a finding too, so that a pipeline shows it at its line; the exit code stays the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from auditctl import REPOSITORY, __version__
from auditctl.errors import AuditctlError, UsageError
from auditctl.findings import Finding, Severity
from auditctl.operations.answer import CommandResult, ReviewCase
from auditctl.printable import printable
from auditctl.report import from_error

if TYPE_CHECKING:
    from auditctl.cli.context import Globals
    from auditctl.operations.controlplane import ControlPlane

_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_SARIF_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_GITHUB_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}

PolicyOperation = Callable[["ControlPlane"], CommandResult]


def in_format(options: Globals, command: str, operation: PolicyOperation) -> PolicyOperation:
    """Return the operation, its result written in the format of ``--output`` where that is one for pipelines."""
    writer = _WRITERS.get(options.output)
    if writer is None:
        return operation

    def written(plane: ControlPlane) -> CommandResult:
        try:
            result = operation(plane)
        except UsageError:
            raise
        except AuditctlError as error:
            findings = from_error(command, "", error).findings
            result = CommandResult(document={}, findings=findings, exit_code=error.exit_code, notes=(error.message,))
        return dataclasses.replace(result, lines=(), summary=writer(command, result), verbatim=True)

    return written


def sarif(command: str, result: CommandResult) -> str:
    """Return one run in SARIF 2.1.0; every check that found something is a rule of the run."""
    import json

    checks = sorted({finding.check for finding in result.findings})
    driver = {
        "name": "auditctl",
        "version": __version__,
        "semanticVersion": __version__,
        "informationUri": REPOSITORY,
        "rules": [_sarif_rule(check) for check in checks],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"auditctl/{command.replace(' ', '-')}/"},
        "columnKind": "unicodeCodePoints",
        "results": [_sarif_result(finding, checks.index(finding.check)) for finding in result.findings],
    }
    return json.dumps({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _sarif_rule(check: str) -> dict[str, Any]:
    from auditctl.policy.lint_checks import CHECKS

    known = next((each for each in CHECKS if each.name == check), None)
    text = {"text": known.reason if known else check}
    page = f"policy-checks.md#{check}" if known else "checks.md"
    rule: dict[str, Any] = {
        "id": check,
        "shortDescription": text,
        "fullDescription": text,  # this and `help` are what code scanning of GitHub does not do without
        "help": {"text": known.fix if known else f"docs/reference/{page}"},
        "helpUri": f"{REPOSITORY}/blob/main/docs/reference/{page}",
    }
    if known:
        rule["defaultConfiguration"] = {"level": _SARIF_LEVELS[known.severity]}
    return rule


def _sarif_result(finding: Finding, rule: int) -> dict[str, Any]:
    import hashlib

    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(finding.file)}}
    if finding.line:
        place["region"] = {"startLine": finding.line, **({"startColumn": finding.column} if finding.column else {})}
    # of what does not move with the lines of the file: code scanning recognises a result of an earlier run by it
    fingerprint = hashlib.sha256(f"{finding.file}\0{finding.check}\0{finding.message}".encode()).hexdigest()
    return {
        "ruleId": finding.check,
        "ruleIndex": rule,
        "level": _SARIF_LEVELS[finding.severity],
        "message": {"text": _sentence(finding)},
        **({"locations": [{"physicalLocation": place}]} if finding.file else {}),
        "partialFingerprints": {"auditctl/v1": fingerprint},
    }


def _uri(file: str) -> str:
    from urllib.parse import quote

    return quote(f"file://{file}" if file.startswith("/") else file.removeprefix("./"), safe="/:")


def _sentence(finding: Finding) -> str:
    path = f"{finding.path}: " if finding.path else ""
    return printable(f"{path}{finding.message}{f' ({finding.fix})' if finding.fix else ''}")


def junit(command: str, result: CommandResult) -> str:
    """Return the cases of a result as JUnit XML; the findings, where the command has no cases.

    The schema by which Jenkins' xUnit plug-in judges reports (`junit-10.xsd`) has no attribute for the line of a case, so
    the place is the text of the failure.
    """
    cases = result.cases or _cases_of(result.findings)
    failures = sum(bool(case.failure) for case in cases)
    counts = f'tests="{len(cases)}" failures="{failures}" errors="0"'
    suite = f"<testsuite name={_attribute(f'auditctl {command}')} {counts}>"
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites {counts}>", f"  {suite}"]
    for case in cases:
        head = f"    <testcase classname={_attribute(case.file)} name={_attribute(case.name)}"
        if case.failure:
            place = _xml(f"{case.file}:{case.line}" if case.line else case.file)
            failure = f"      <failure message={_attribute(case.failure)}>{place}</failure>"
            lines += [f"{head}>", failure, "    </testcase>"]
        else:
            lines.append(f"{head}/>")
    return "\n".join((*lines, "  </testsuite>", "</testsuites>"))


def _attribute(text: str) -> str:
    return f'"{_xml(text)}"'


def _xml(text: str) -> str:
    """Return a text for XML; what XML 1.0 cannot hold is spelled as an escape."""
    import html

    shown = printable(text).translate({0x09: " ", 0xFFFE: r"\ufffe", 0xFFFF: r"\uffff"})
    return html.escape(shown).encode("ascii", "xmlcharrefreplace").decode()


def _cases_of(findings: Iterable[Finding]) -> tuple[ReviewCase, ...]:
    return tuple(
        ReviewCase(finding.check, finding.file, finding.line, _sentence(finding))
        for finding in findings
        if finding.severity is not Severity.INFO
    )


def github(command: str, result: CommandResult) -> str:
    """Return one workflow command a finding; GitHub shows it at its line in the pull request."""
    return "\n".join(_annotation(command, finding) for finding in result.findings)


def _annotation(command: str, finding: Finding) -> str:
    place = [("file", finding.file), ("line", finding.line), ("col", finding.column)] if finding.file else []
    properties = [*place, ("title", f"auditctl {command}: {finding.check}")]
    shown = ",".join(f"{name}={_property(str(value))}" for name, value in properties if value)
    return f"::{_GITHUB_LEVELS[finding.severity]} {shown}::{_escaped(_sentence(finding))}"


def _escaped(text: str) -> str:
    """Escape as `@actions/core` does (`packages/core/src/command.ts`): a line end would begin another command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(printable(text)).replace(":", "%3A").replace(",", "%2C")


_WRITERS: dict[str, Callable[[str, CommandResult], str]] = {"sarif": sarif, "junit": junit, "github": github}
FINDINGS_FORMATS = tuple(_WRITERS)
"""What ``--output`` may name beside the formats of every command."""
