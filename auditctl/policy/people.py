"""List the people whom the rules of a policy name: a rule may treat an administrator otherwise than everybody else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from auditctl.policy.shorthand import usual_groups
from auditctl.policy.types import PolicyRule, User

MOST_PEOPLE = 50
MEMBER = "auditctl-member"
"""A user whom no rule names, in a group that one names."""
_AUTHENTICATED = "system:authenticated"
_GROUPS_OF_PEOPLE = frozenset({"system:masters", _AUTHENTICATED})


def named_people(rules: Iterable[PolicyRule]) -> tuple[User, ...]:
    """Return every person that a rule names, and a member of every group of people; components of a cluster are none."""
    return tuple(islice(dict.fromkeys(_people(rules)), MOST_PEOPLE))


def _people(rules: Iterable[PolicyRule]) -> Iterator[User]:
    for rule in rules:
        for name in rule.users:
            if not name.startswith("system:"):
                yield User(name, usual_groups(name))
        for group in rule.user_groups:
            if group in _GROUPS_OF_PEOPLE or not group.startswith("system:"):
                yield User(MEMBER, tuple(dict.fromkeys((group, _AUTHENTICATED))))
