"""Find resources and groups that a cluster does not serve; only where its whole discovery is known."""

from __future__ import annotations

from collections.abc import Iterator

from auditctl.policy.lint_checks import Known, Problem
from auditctl.policy.types import Policy

_WILDCARD = "*"


def unserved(policy: Policy, known: Known) -> Iterator[Problem]:
    """Yield every entry of ``resources`` that names nothing of the cluster; a name of another group is another check's."""
    if not known.is_whole:
        return
    groups = {each.group for each in known.resources}
    for index, rule in enumerate(policy.rules):
        for place, entry in enumerate(rule.resources):
            path = f"rules[{index}].resources[{place}]"
            if entry.group not in groups and entry.group != _WILDCARD:
                message = f"the cluster serves no API group {entry.group!r}"
                yield Problem(
                    check="unknown-resource",
                    path=f"{path}.group",
                    message=message,
                    fix="correct it, or install what serves it",
                )
                continue
            for position, pattern in enumerate(entry.resources):
                name = pattern.partition("/")[0]
                if name not in {"", _WILDCARD} and name.lower() not in {*known.by_name, *known.by_word}:
                    message = f"the cluster serves no resource {name!r}"
                    fix = "correct it, or install what serves it"
                    yield Problem(
                        check="unknown-resource", path=f"{path}.resources[{position}]", message=message, fix=fix
                    )
