"""``policy test``, ``diff``, ``convert``: a policy against what is expected of it, against another, and in v1."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from auditctl.findings import Finding, Severity
from auditctl.node.git import text_in_revision
from auditctl.operations.answer import CommandResult, ReviewCase
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy.explain import attributes_row, decision_row, notes
from auditctl.operations.policy.request_context import request_context
from auditctl.operations.policy_files import (
    LoadedPolicyFile,
    PolicyText,
    read,
    read_policy,
    server_version,
    understood,
)
from auditctl.policy.compare import DecisionDifference, differences, request_words
from auditctl.policy.convert import convert as to_v1
from auditctl.policy.expectations import Expectation, read_expectations, unmet
from auditctl.policy.types import Decision, Level

_EXAMPLES = 3


class Tested(NamedTuple):
    """One expectation, what was decided, and in words what differs."""

    expectation: Expectation
    decision: Decision
    differs: str

    def row(self) -> dict[str, Any]:
        """Return the row for JSON."""
        expected = self.expectation
        return {
            "request": expected.request,
            "line": expected.line,
            "passed": not self.differs,
            "expected": {
                "level": expected.level.value,
                "rule": expected.rule,
                "stages": None if expected.stages is None else [stage.value for stage in expected.stages],
            },
            "decision": decision_row(self.decision),
            "difference": self.differs or None,
        }


def test(
    plane: ControlPlane,
    file: str,
    expect: str,
    kubernetes: str | None,
    *,
    takes_unknown: bool,
    discovery: str,
) -> CommandResult:
    """Compare the policy's decisions with the expected ones; exit code 1 with what differs if any does.

    Raises:
        PolicyError: the server would refuse the policy, or the expectations cannot be read.
    """
    named = read_policy(file, server_version(plane, kubernetes))
    text = read(expect, "expectations")
    context = request_context(plane, kubernetes, takes_unknown=takes_unknown, discovery=discovery)
    results = [Tested(each, *unmet(named.policy, each)) for each in read_expectations(text.raw, text.name, context)]
    failed = [each for each in results if each.differs]
    summary = f"{named.name}: {len(results) - len(failed)} of {len(results)} requests are decided as expected"
    document = {
        "file": named.name,
        "expect": expect,
        "passed": len(results) - len(failed),
        "failed": len(failed),
        "results": [each.row() for each in results],
    }
    return CommandResult(
        document=document,
        lines=_table(expect, failed),
        summary=summary,
        exit_code=1 if failed else 0,
        notes=notes(named),
        findings=(*named.findings, *(_unmet_finding(expect, each) for each in failed)),
        cases=tuple(
            ReviewCase(each.expectation.request, expect, each.expectation.line, each.differs) for each in results
        ),
    )


def _unmet_finding(expect: str, each: Tested) -> Finding:
    message = f"{each.expectation.request}: {each.differs}"
    return Finding.error("expectation", message, file=expect, line=each.expectation.line, column=1)


def _table(expect: str, failed: list[Tested]) -> tuple[str, ...]:
    """Return place, request, and what differs, in columns."""
    rows = [(f"{expect}:{each.expectation.line}", each.expectation.request, each.differs) for each in failed]
    if not rows:
        return ()
    rows.insert(0, ("EXPECTATION", "REQUEST", "DECISION"))
    one, two = (max(len(row[column]) for row in rows) for column in (0, 1))
    return tuple(f"{place:{one}}  {request:{two}}  {differs}" for place, request, differs in rows)


def diff(plane: ControlPlane, before: str, after: str, kubernetes: str | None) -> CommandResult:
    """Return which requests change level, stages or managed fields. Exit code 1 if any does, as ``kubectl diff``.

    Raises:
        PolicyError: the server would refuse one of them.
    """
    version = server_version(plane, kubernetes)
    return _diff(read_policy(before, version), read_policy(after, version))


def diff_with_revision(plane: ControlPlane, revision: str, file: str, kubernetes: str | None) -> CommandResult:
    """Return ``diff`` of what the file was in a revision of its git repository, and what it is now.

    Raises:
        RefusedError: the file is in no repository, or not in that revision; PolicyError: the server would refuse one.
    """
    version = server_version(plane, kubernetes)
    before = PolicyText(f"{revision}:{file}", text_in_revision(revision, Path(file)))
    return _diff(understood(before, version), read_policy(file, version))


def _diff(one: LoadedPolicyFile, other: LoadedPolicyFile) -> CommandResult:
    groups: dict[tuple[int, int], list[DecisionDifference]] = {}
    for each in differences(one.policy, other.policy):
        groups.setdefault((each.before.rule, each.after.rule), []).append(each)
    lines: list[str] = []
    findings: list[Finding] = []
    for pair, members in sorted(groups.items()):
        lines.append(
            f"{_side(one.name, one.policy.rules, pair[0])} -> {_side(other.name, other.policy.rules, pair[1])}"
        )
        lines += (f"  {_change(each)}  {request_words(each.attributes)}" for each in members[:_EXAMPLES])
        lines += [f"  and {len(members) - _EXAMPLES} more of this kind"] if len(members) > _EXAMPLES else []
        findings.append(_change_finding(other, pair[1], members))
    rows = [_row(each) for _, members in sorted(groups.items()) for each in members]
    summary = f"{one.name} and {other.name} decide {'differently' if rows else 'every request alike'}"
    cases = tuple(ReviewCase(each.check, each.file, each.line, each.message) for each in findings)
    return CommandResult(
        document={"differences": rows},
        lines=tuple(lines),
        summary=summary,
        exit_code=1 if rows else 0,
        notes=(*notes(one), *notes(other)),
        findings=(*other.findings, *findings),
        cases=cases or (ReviewCase("every request is decided alike", other.name),),
    )


def _change_finding(after: LoadedPolicyFile, rule: int, members: list[DecisionDifference]) -> Finding:
    """Return one finding of the requests that one rule of the new policy decides and one rule of the old one decided.

    A request of which less is recorded is a warning: a review must not miss that something is no longer in the log.
    """
    changes = list(dict.fromkeys(map(_change, members)))
    examples = ", ".join(dict.fromkeys(request_words(each.attributes) for each in members[:_EXAMPLES]))
    more = f" and {len(members) - _EXAMPLES} more" if len(members) > _EXAMPLES else ""
    lost = any(each.after.level is Level.NONE and each.before.level is not Level.NONE for each in members)
    less = any(each.after.level < each.before.level for each in members) or any(
        set(each.after.omit_stages) - set(each.before.omit_stages) for each in members
    )
    check = "no-longer-recorded" if lost else ("less-recorded" if less else "recorded-otherwise")
    severity = Severity.WARNING if less else Severity.INFO
    line = after.policy.rules[rule].line if rule >= 0 else 1
    path = f"rules[{rule}]" if rule >= 0 else "rules"
    message = f"{'; '.join(changes)}: {examples}{more}"
    return Finding(check=check, severity=severity, message=message, path=path, file=after.name, line=line, column=1)


def _side(name: str, rules: tuple[Any, ...], rule: int) -> str:
    return f"{name}:{rules[rule].line} rules[{rule}]" if rule >= 0 else f"{name} no rule"


def _change(each: DecisionDifference) -> str:
    before, after = each.before, each.after
    if before.level is not after.level:
        return f"{before.level.value} -> {after.level.value}"
    if set(before.omit_stages) != set(after.omit_stages):
        one, other = (", ".join(stage.value for stage in side.omit_stages) or "none" for side in (before, after))
        return f"{before.level.value}, omitted stages {one} -> {other}"
    return f"{before.level.value}, omitManagedFields {_bool(before)} -> {_bool(after)}"


def _bool(decision: Decision) -> str:
    return "true" if decision.omit_managed_fields else "false"


def _row(each: DecisionDifference) -> dict[str, Any]:
    user = each.attributes.user
    return {
        "request": request_words(each.attributes),
        "user": user.name if user else None,
        "groups": list(user.groups) if user else [],
        "attributes": attributes_row(each.attributes),
        "old": decision_row(each.before),
        "new": decision_row(each.after),
    }


def convert(file: str) -> CommandResult:
    """Return the policy in v1, every other byte as it was.

    Raises:
        PolicyError: the text is no policy of any version.
    """
    text = read(file)
    converted = to_v1(text.raw, text.name).text
    return CommandResult(document={}, pieces=iter((converted,)))
