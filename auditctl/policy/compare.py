"""Do two policies decide alike? Exactly: over every request that their rules can tell apart (``regions``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from auditctl.policy.compiled import Compiled
from auditctl.policy.request_classes import regions
from auditctl.policy.types import Attributes, Decision, Level, Policy


class DecisionDifference(NamedTuple):
    """One request that the two policies decide otherwise."""

    attributes: Attributes
    before: Decision
    after: Decision

    def __str__(self) -> str:
        changes = f"{self.before.level.value} (rule {self.before.rule}), not {self.after.level.value} (rule {self.after.rule})"
        return f"{request_words(self.attributes)}: {changes}"


def request_words(request: Attributes) -> str:
    """Return a request as a person writes it."""
    who = f" by {request.user.name}" if request.user else " without a user"
    if not request.is_resource_request:
        return f"{request.verb} {request.path}{who}"
    subresource = f"/{request.subresource}" if request.subresource else ""
    group = f".{request.api_group}" if request.api_group else ""
    name = f" {request.name}" if request.name else ""
    namespace = f" in {request.namespace}" if request.namespace else ""
    return f"{request.verb} {request.resource}{subresource}{group}{name}{namespace}{who}"


def first_difference(
    before: Policy, after: Policy, counts: Callable[[Decision], object] | None = None
) -> DecisionDifference | None:
    """Return the first request found that changes level, stages or managed fields; None if none does.

    ``counts`` takes what matters out of a decision, where that is less.
    """
    return next(differences(before, after, counts), None)


def differences(
    before: Policy, after: Policy, counts: Callable[[Decision], object] | None = None
) -> Iterator[DecisionDifference]:
    """Yield requests that the two decide otherwise, one for each set of rules that apply to it."""
    counts = counts or outcome
    decisions_before, decisions_after = Compiled(before).decisions, Compiled(after).decisions
    count = len(before.rules)
    for region in regions((*before.rules, *after.rules)):
        one = decisions_before[_first(region.rules & ((1 << count) - 1))]
        other = decisions_after[_first(region.rules >> count)]
        if counts(one) != counts(other):
            yield DecisionDifference(region.witness, one, other)


def _first(rules: int) -> int:
    return (rules & -rules).bit_length() - 1


def outcome(decision: Decision) -> tuple[object, ...]:
    """Return what is written: nothing is nothing, whatever its stages."""
    if decision.level is Level.NONE:
        return (decision.level,)
    return decision.level, frozenset(decision.omit_stages), decision.omit_managed_fields
