"""Find users and groups that stand in the wrong list, and service accounts that are not spelt as the server spells them.

`apiserver/pkg/authentication/serviceaccount/util.go`: a service account is the user `system:serviceaccount:NAMESPACE:NAME`
and is in the groups `system:serviceaccounts` and `system:serviceaccounts:NAMESPACE`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from auditctl.patterns import lazily
from auditctl.policy.lint_checks import PolicyMending, Problem
from auditctl.policy.types import Policy, PolicyRule

_ACCOUNT = "system:serviceaccount"
_GROUPS = frozenset({"system:authenticated", "system:unauthenticated", "system:masters", "system:nodes"})
_USERS = frozenset(
    {
        "system:anonymous",
        "system:apiserver",
        "system:kube-controller-manager",
        "system:kube-proxy",
        "system:kube-scheduler",
    }
)
_ALMOST = lazily(r"(?:system:)?(?:serviceaccounts?|sa)[:/]([a-z0-9-]+)[:/]([a-z0-9.-]+)")
_WHOLE = lazily(r"system:serviceaccount:[a-z0-9-]+:[a-z0-9.-]+")


class _Meant(NamedTuple):
    """What is wrong with a value, what to do, and the selectors that were meant instead."""

    message: str
    fix: str
    users: tuple[str, ...] = ()
    user_groups: tuple[str, ...] = ()


def user_problems(policy: Policy) -> Iterator[Problem]:
    """Yield every such value, with the policy that has the rule for the meant user or group before the rule."""
    for index, rule in enumerate(policy.rules):
        for path, meant in _of_rule(rule):
            selected = replace(rule, users=meant.users, user_groups=meant.user_groups)
            mending = PolicyMending.of_rule(index, selected, rule)
            yield Problem(
                check="wrong-user", path=f"rules[{index}].{path}", message=meant.message, fix=meant.fix, mending=mending
            )


def _of_rule(rule: PolicyRule) -> Iterator[tuple[str, _Meant]]:
    for place, value in enumerate(rule.users):
        if meant := _as_user(value):
            yield f"users[{place}]", meant
    for place, value in enumerate(rule.user_groups):
        if meant := _as_group(value):
            yield f"userGroups[{place}]", meant


def _as_user(value: str) -> _Meant | None:
    """Return what is wrong with a value of ``users``; a pattern is another check's."""
    if value in _GROUPS or value == f"{_ACCOUNT}s" or (value.startswith(f"{_ACCOUNT}s:") and value.count(":") == 2):
        return _Meant(f"{value!r} is a group of users", "put it into userGroups", user_groups=(value,))
    account = _account(value)
    if not account and value.startswith(f"{_ACCOUNT}:") and value.count(":") == 2:
        group = value.replace(_ACCOUNT, f"{_ACCOUNT}s", 1)
        text = f"{value!r} is no user name: a service account has a namespace and a name"
        return _Meant(text, f"put {group} into userGroups, or add the name", user_groups=(group,))
    return _Meant(f"{value!r} is no user name", f"write {account}", users=(account,)) if account else None


def _as_group(value: str) -> _Meant | None:
    account = value if _WHOLE.fullmatch(value) else _account(value)
    if value in _USERS or account:
        user = account or value
        return _Meant(f"{value!r} is no group: it names one user", f"put {user} into users", users=(user,))
    if value.startswith(f"{_ACCOUNT}:") and value.count(":") == 2:
        group = value.replace(_ACCOUNT, f"{_ACCOUNT}s", 1)
        return _Meant(f"{value!r} is no group", f"write {group}", user_groups=(group,))
    return None


def _account(value: str) -> str:
    """Return the whole name of a service account that is spelt another way; "" for any other value."""
    match = _ALMOST.fullmatch(value)
    if match is None or _WHOLE.fullmatch(value):
        return ""
    return f"{_ACCOUNT}:{match[1]}:{match[2]}"
