"""``policy test``, ``diff``, ``convert``: a policy against what is expected of it, against another, and in v1."""

from __future__ import annotations

from typing import Any, NamedTuple

from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy.explain import attributes_row, decision_row, notes
from auditctl.operations.policy.request_context import request_context
from auditctl.operations.policy_files import read, read_policy, server_version
from auditctl.policy.compare import DecisionDifference, differences, request_words
from auditctl.policy.convert import convert as to_v1
from auditctl.policy.expectations import Expectation, read_expectations, unmet
from auditctl.policy.types import Decision

_EXAMPLES = 3


class Tested(NamedTuple):
    """One expectation, what was decided, and in words what differs."""

    expectation: Expectation
    decision: Decision
    differs: str

    def row(self) -> dict[str, Any]:
        """As JSON."""
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


def test(plane: ControlPlane, file: str, expect: str, kubernetes: str | None, *, takes_unknown: bool) -> CommandResult:
    """Does the policy decide as expected? Exit code 1 with what differs if not.

    Raises:
        PolicyError: the server would refuse the policy, or the expectations cannot be read.
    """
    named = read_policy(file, server_version(plane, kubernetes))
    text = read(expect, "expectations")
    context = request_context(plane, kubernetes, takes_unknown=takes_unknown)
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
    return CommandResult(document, _table(expect, failed), summary, 1 if failed else 0, notes(named))


def _table(expect: str, failed: list[Tested]) -> tuple[str, ...]:
    """Place, request, and what differs, in columns."""
    rows = [(f"{expect}:{each.expectation.line}", each.expectation.request, each.differs) for each in failed]
    if not rows:
        return ()
    rows.insert(0, ("EXPECTATION", "REQUEST", "DECISION"))
    one, two = (max(len(row[column]) for row in rows) for column in (0, 1))
    return tuple(f"{place:{one}}  {request:{two}}  {differs}" for place, request, differs in rows)


def diff(plane: ControlPlane, old: str, new: str, kubernetes: str | None) -> CommandResult:
    """Which requests change level, stages or managed fields. Exit code 1 if any does, as ``kubectl diff``.

    Raises:
        PolicyError: the server would refuse one of them.
    """
    version = server_version(plane, kubernetes)
    one, other = read_policy(old, version), read_policy(new, version)
    groups: dict[tuple[int, int], list[DecisionDifference]] = {}
    for each in differences(one.policy, other.policy):
        groups.setdefault((each.old.rule, each.new.rule), []).append(each)
    lines: list[str] = []
    for pair, found in sorted(groups.items()):
        lines.append(
            f"{_side(one.name, one.policy.rules, pair[0])} -> {_side(other.name, other.policy.rules, pair[1])}"
        )
        lines += (f"  {_change(each)}  {request_words(each.attributes)}" for each in found[:_EXAMPLES])
        lines += [f"  and {len(found) - _EXAMPLES} more of this kind"] if len(found) > _EXAMPLES else []
    rows = [_row(each) for _, found in sorted(groups.items()) for each in found]
    summary = f"{old} and {new} decide {'differently' if rows else 'every request alike'}"
    return CommandResult({"differences": rows}, tuple(lines), summary, 1 if rows else 0, (*notes(one), *notes(other)))


def _side(name: str, rules: tuple[Any, ...], rule: int) -> str:
    return f"{name}:{rules[rule].line} rules[{rule}]" if rule >= 0 else f"{name} no rule"


def _change(each: DecisionDifference) -> str:
    old, new = each.old, each.new
    if old.level is not new.level:
        return f"{old.level.value} -> {new.level.value}"
    if set(old.omit_stages) != set(new.omit_stages):
        one, other = (", ".join(stage.value for stage in side.omit_stages) or "none" for side in (old, new))
        return f"{old.level.value}, omitted stages {one} -> {other}"
    return f"{old.level.value}, omitManagedFields {_bool(old)} -> {_bool(new)}"


def _bool(decision: Decision) -> str:
    return "true" if decision.omit_managed_fields else "false"


def _row(each: DecisionDifference) -> dict[str, Any]:
    user = each.attributes.user
    return {
        "request": request_words(each.attributes),
        "user": user.name if user else None,
        "groups": list(user.groups) if user else [],
        "attributes": attributes_row(each.attributes),
        "old": decision_row(each.old),
        "new": decision_row(each.new),
    }


def convert(file: str) -> bytes:
    """The policy in v1, every other byte as it was. Raises PolicyError for what is no policy of any version."""
    text = read(file)
    return to_v1(text.raw, text.name).text
