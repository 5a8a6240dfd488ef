"""Find entries of ``nonResourceURLs`` that are URLs of resources: no request that a rule for URLs is asked about has one.

The server takes a path apart before it asks the policy (`apiserver/pkg/endpoints/request/requestinfo.go`): what has a
resource behind `/api/VERSION` or `/apis/GROUP/VERSION` is a resource request, whatever the rule says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from auditctl.patterns import lazily
from auditctl.policy.lint_checks import PolicyMending, Problem
from auditctl.policy.types import GroupResources, Policy, PolicyRule

_WILDCARD = "*"
_PATH_ENDS = lazily(r"[?#]")  # of a URL (RFC 3986, 3.3)


class _Target(NamedTuple):
    """The resource that a URL stands for; "" and ``*`` are any."""

    group: str
    resource: str
    namespace: str


def url_problems(policy: Policy) -> Iterator[Problem]:
    """Yield every such entry, with the policy that has a rule for the resource before the rule."""
    for index, rule in enumerate(policy.rules):
        for place, url in enumerate(rule.non_resource_urls):
            path = _PATH_ENDS.split(url, maxsplit=1)[0]
            if path != url:
                meant = replace(rule, non_resource_urls=(path,))
                yield Problem(
                    check="resource-url",
                    path=f"rules[{index}].nonResourceURLs[{place}]",
                    message=f"{url!r} has more than a path, and the policy is asked about the path alone: it never matches",
                    fix=f"write {path}",
                    mending=PolicyMending.of_rule(index, meant, rule),
                )
                continue
            target = _target(url)
            if target is None:
                continue
            entry = GroupResources(target.group, () if target.resource in {"", _WILDCARD} else (target.resource,))
            namespaces = () if target.namespace in {"", _WILDCARD} else (target.namespace,)
            meant = replace(rule, non_resource_urls=(), resources=(entry,), namespaces=namespaces)
            yield Problem(
                check="resource-url",
                path=f"rules[{index}].nonResourceURLs[{place}]",
                message=f"{url!r} is the URL of a resource, so the entry never matches",
                fix=f"make a rule of its own for it, with {_words(meant)} instead of nonResourceURLs",
                mending=PolicyMending.of_rule(index, meant, rule),
            )


def _target(url: str) -> _Target | None:
    """Return the resource of a URL, or None for one that a request for no resource can have."""
    stem = url.rstrip(_WILDCARD)
    parts = stem.lstrip("/").split("/") if stem != url else stem.strip("/").split("/")
    before = _before(parts)
    rest = parts[before:]
    if not before or not rest:
        return None
    if rest == ["namespaces", ""]:  # `/apis/apps/v1/namespaces/*`: whatever is in namespaces
        return _Target(_group(parts), "", "")
    if rest[0] == "namespaces" and len(rest) > 2:
        return _Target(group=_group(parts), resource=rest[2], namespace=rest[1])
    return _Target(_group(parts), rest[0], rest[1] if rest[0] == "namespaces" and len(rest) > 1 else "")


def _group(parts: list[str]) -> str:
    return "" if parts[0] == "api" else parts[1]


def _before(parts: list[str]) -> int:
    """Return how many parts stand before the resource; 0 where none can."""
    return {"api": 2, "apis": 3}.get(parts[0], 0)


def _words(rule: PolicyRule) -> str:
    (entry,) = rule.resources
    names = f", resources [{', '.join(entry.resources)}]" if entry.resources else ""
    namespaces = f" and namespaces [{', '.join(rule.namespaces)}]" if rule.namespaces else ""
    return f"resources: group {entry.group!r}{names}{namespaces}"
