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
    old: Decision
    new: Decision

    def __str__(self) -> str:
        changes = f"{self.old.level.value} (rule {self.old.rule}), not {self.new.level.value} (rule {self.new.rule})"
        return f"{request_words(self.attributes)}: {changes}"


def request_words(asked: Attributes) -> str:
    """Return a request as a person writes it."""
    who = f" by {asked.user.name}" if asked.user else " without a user"
    if not asked.is_resource_request:
        return f"{asked.verb} {asked.path}{who}"
    subresource = f"/{asked.subresource}" if asked.subresource else ""
    group = f".{asked.api_group}" if asked.api_group else ""
    name = f" {asked.name}" if asked.name else ""
    namespace = f" in {asked.namespace}" if asked.namespace else ""
    return f"{asked.verb} {asked.resource}{subresource}{group}{name}{namespace}{who}"


def first_difference(
    old: Policy, new: Policy, counts: Callable[[Decision], object] | None = None
) -> DecisionDifference | None:
    """Return the first request found that changes level, stages or managed fields; None if none does.

    ``counts`` takes what matters out of a decision, where that is less.
    """
    return next(differences(old, new, counts), None)


def differences(
    old: Policy, new: Policy, counts: Callable[[Decision], object] | None = None
) -> Iterator[DecisionDifference]:
    """Yield requests that the two decide otherwise, one for each set of rules that apply to it."""
    counts = counts or outcome
    before, after = Compiled(old).decisions, Compiled(new).decisions
    count = len(old.rules)
    for region in regions((*old.rules, *new.rules)):
        one = before[_first(region.rules & ((1 << count) - 1))]
        other = after[_first(region.rules >> count)]
        if counts(one) != counts(other):
            yield DecisionDifference(region.witness, one, other)


def _first(rules: int) -> int:
    return (rules & -rules).bit_length() - 1


def outcome(decision: Decision) -> tuple[object, ...]:
    """Return what is written: nothing is nothing, whatever its stages."""
    if decision.level is Level.NONE:
        return (decision.level,)
    return decision.level, frozenset(decision.omit_stages), decision.omit_managed_fields
