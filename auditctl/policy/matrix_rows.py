"""The rows of a policy's picture: the built-in API, and what the policy names beside it.

What no policy and no table names stands as ``(other)``: a resource, group or subresource of that kind, whichever; of a
URL as ``*``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from auditctl.policy.lint_checks import Known
from auditctl.policy.request_classes import FRESH
from auditctl.policy.types import GroupResources, Policy

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
OTHER = "(other)"
MOST_NAMED = 300
"""Rows that only the policy names; more than that are counted, not drawn."""
_CONNECT_VERBS = ("get", "create", "update", "patch", "delete")


class Scope(Enum):
    """In which namespaces a request for the row can be."""

    NAMESPACED = "namespaced"
    CLUSTER = "cluster"
    ITSELF = "itself"
    """A namespace: it is in the namespace of its own name (`requestinfo.go`)."""
    EITHER = "either"
    """A resource of which nothing is known."""
    URL = "url"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the picture. A URL has only its ``path``; ``verbs`` are those that the API offers there."""

    scope: Scope
    verbs: tuple[str, ...]
    group: str = ""
    resource: str = ""
    subresource: str = ""
    path: str = ""
    named_by_policy: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """Return group, resource and subresource."""
        return self.group, self.resource, self.subresource

    @property
    def label(self) -> str:
        """Return the name in the shorthand of ``policy explain``: ``deployments/scale.apps``."""
        if self.scope is Scope.URL:
            return self.path.replace(FRESH, "*")
        if self.resource == self.group == FRESH and not self.subresource:
            return "(anything else)"
        return f"{self.bare_label}.{self.group}".replace(FRESH, OTHER) if self.group else self.bare_label

    @property
    def group_label(self) -> str:
        """Return the API group in words."""
        return (self.group or "core").replace(FRESH, "any other API group")

    @property
    def bare_label(self) -> str:
        """Return the label without the API group."""
        name = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return name.replace(FRESH, OTHER)


class Subresource(NamedTuple):
    """A built-in subresource; ``since`` is the first version (major, minor) that serves it."""

    group: str
    resource: str
    subresource: str
    verbs: tuple[str, ...]
    since: tuple[int, int]


class Sensitive(NamedTuple):
    """Requests that matter to security: no ``verbs`` are all. A concern where ``unseen``, or where the ``body`` is kept."""

    why: str
    verbs: tuple[str, ...]
    unseen: bool
    body: bool


class BuiltInApi(NamedTuple):
    """What is known of the built-in API: ``offers`` has the resources that offer fewer verbs than all."""

    known: Known
    offers: Mapping[tuple[str, str], tuple[str, ...]]
    subresources: tuple[Subresource, ...]
    sensitive: Mapping[tuple[str, str, str], Sensitive]
    urls: tuple[str, ...]


class Rows(NamedTuple):
    """Resources, URLs, and how many that the policy names were left out."""

    resources: tuple[Row, ...]
    urls: tuple[Row, ...]
    left_out: int = 0


def rows(policy: Policy, api: BuiltInApi, version: tuple[int, int]) -> Rows:
    """Return what the picture of ``policy`` shows for a server of that ``version``."""
    by_key: dict[tuple[str, str, str], Row] = {row.key: row for row in _built_in(api, version)}
    scopes = {row.key[:2]: row.scope for row in by_key.values()}
    last = (FRESH, FRESH, "")
    groups = frozenset(group for group, _ in scopes)
    named = [key for key in dict.fromkeys(_named(policy, groups)) if key not in by_key and key != last]
    for key in named[:MOST_NAMED]:
        verbs = _CONNECT_VERBS if key[2] else VERBS
        scope = scopes.get(key[:2], Scope.EITHER)
        by_key[key] = Row(
            scope=scope, verbs=verbs, group=key[0], resource=key[1], subresource=key[2], named_by_policy=True
        )
    by_key[last] = Row(scope=Scope.EITHER, verbs=VERBS, group=FRESH, resource=FRESH)
    order = {group: place for place, group in enumerate(dict.fromkeys(group for group, _, _ in by_key))}
    resources = sorted(by_key.values(), key=lambda row: (row.key == last, order[row.group]))
    urls = tuple(_urls(policy, api))
    return Rows(tuple(resources), urls[:MOST_NAMED], len(named[MOST_NAMED:]) + len(urls[MOST_NAMED:]))


def _built_in(api: BuiltInApi, version: tuple[int, int]) -> Iterator[Row]:
    for each in api.known.resources:
        if each.since > version:
            continue
        key = (each.group, each.name)
        scope = Scope.NAMESPACED if each.namespaced else Scope.CLUSTER
        scope = Scope.ITSELF if key == ("", "namespaces") else scope
        yield Row(scope=scope, verbs=api.offers.get(key, VERBS), group=each.group, resource=each.name)
        for sub in api.subresources:
            if key == (sub.group, sub.resource) and sub.since <= version:
                yield Row(
                    scope=scope, verbs=sub.verbs, group=sub.group, resource=sub.resource, subresource=sub.subresource
                )


def _named(policy: Policy, built_in: frozenset[str]) -> Iterator[tuple[str, str, str]]:
    """Yield what the rules name, the whole behind a pattern included."""
    for entry in dict.fromkeys(entry for rule in policy.rules for entry in rule.resources):
        group = FRESH if entry.group == "*" else entry.group
        for resource, subresource in _patterns(entry):
            if resource != FRESH or not subresource:
                yield group, resource, ""
            if subresource:
                yield group, resource, subresource
        if group not in built_in:
            yield group, FRESH, ""


def _patterns(entry: GroupResources) -> Iterator[tuple[str, str]]:
    """Yield resource and subresource of what an entry lists; what no request can match is left out."""
    for pattern in entry.resources or ("*",):
        resource, _, subresource = pattern.partition("/")
        one = FRESH if resource == "*" else resource
        other = FRESH if subresource == "*" else subresource
        if one and "*" not in one + other and "/" not in other and (one, other) != (FRESH, FRESH):
            yield one, other


def _urls(policy: Policy, api: BuiltInApi) -> Iterator[Row]:
    patterns = dict.fromkeys(url for rule in policy.rules for url in rule.non_resource_urls)
    paths: dict[str, bool] = dict.fromkeys(api.urls, False)
    for pattern in patterns:
        stem = pattern.rstrip("*")
        if stem:
            paths.setdefault(stem, True)
        if pattern.endswith("*"):
            paths.setdefault(f"{stem or '/'}{FRESH}", True)
    paths.setdefault(f"/{FRESH}", False)
    for path, named in sorted(paths.items(), key=lambda pair: pair[0] == f"/{FRESH}"):
        yield Row(scope=Scope.URL, verbs=METHODS, path=path, named_by_policy=named)
