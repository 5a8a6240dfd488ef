"""Find the requests that change level with a policy, before the API server loads it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from auditctl.policy.compare import DecisionDifference, differences, request_words
from auditctl.policy.types import Policy

_MOST_RULES = 400  # both policies together; beyond that the comparison takes seconds
_MOST_KINDS = 100
_SHOWN = 12


class PolicyStep(NamedTuple):
    """The policy that is in force, and the one that comes; None: not known, or none."""

    before: Policy | None = None
    after: Policy | None = None

    @property
    def is_comparable(self) -> bool:
        """Tell whether both are known, and small enough to be compared before the change."""
        if self.before is None or self.after is None:
            return False
        return len(self.before.rules) + len(self.after.rules) <= _MOST_RULES


class RequestChange(NamedTuple):
    """One request that the two policies decide otherwise, with its level before and after."""

    request: str
    before: str
    after: str

    def __str__(self) -> str:
        if self.before == self.after:
            return f"  {self.before}, with other stages or managed fields  {self.request}"
        return f"  {self.before} -> {self.after}  {self.request}"


def request_changes(step: PolicyStep | None) -> tuple[RequestChange, ...]:
    """Return one example of each kind of request that is decided otherwise, changes of level first.

    At most a hundred: they are for a person to read.
    """
    if step is None or not step.is_comparable or step.before is None or step.after is None:
        return ()
    changes = islice(differences(step.before, step.after), _MOST_KINDS)
    return tuple(sorted(map(_change, changes), key=lambda change: change.before == change.after))


def _change(difference: DecisionDifference) -> RequestChange:
    levels = difference.before.level.value, difference.after.level.value
    return RequestChange(request_words(difference.attributes), *levels)


def lines(step: PolicyStep | None, changes: tuple[RequestChange, ...]) -> Iterator[str]:
    """Yield the changes as lines, or a sentence where there are none or they are not known."""
    if step is None or step.before is None or step.after is None:
        return
    if not step.is_comparable:
        yield "requests that change level: not compared, the policies have too many rules (see `auditctl policy diff`)"
    elif not changes:
        yield "requests that change level: none"
    else:
        yield "requests that change level:"
        yield from map(str, changes[:_SHOWN])
        if len(changes) > _SHOWN:
            yield f"  and {len(changes) - _SHOWN} more kinds (see `auditctl policy diff`)"
