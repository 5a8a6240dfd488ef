"""Every request that rules can tell apart, each by one witness: the exact ground for "unreachable" and "differs".

A test of a rule sees of a request only whether a value is one that some rule names. So of each dimension the named
values and one that nobody names are all there is; those that the same rules pass are one. Sets of rules are bits, and
what is put together is merged after every step, so that the product stays small.

Requests that no server can make are left out: a verb that no HTTP request has, a get without a name, an anonymous
user in other groups, a service account outside of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations, product
from typing import NamedTuple, TypeVar

from auditctl.policy.compiled import Compiled
from auditctl.policy.shorthand import DEFAULT_USER, usual_groups
from auditctl.policy.types import Attributes, GroupResources, Policy, PolicyRule, User

T = TypeVar("T")

FRESH = "auditctl-other"
"""A value that no policy names."""
_NAMELESS_VERBS = ("list", "create", "watch", "deletecollection", "update", "patch", "")
_NAMED_VERBS = ("get", "update", "patch", "delete", "list", "watch", "proxy", "")
_CONNECT_VERBS = ("get", "create", "update", "patch", "delete", "")
_URL_VERBS = ("get", "post", "put", "patch", "delete", "head", "options")
_ANONYMOUS = "system:anonymous"
_ACCOUNT = "system:serviceaccount:"
_ACCOUNTS = "system:serviceaccounts"
_AUTHENTICATED = "system:authenticated"
_MOST_COMBINED_GROUPS = 10
_USUAL = ("pods", "secrets")

Target = tuple[str, str, str, str, str]
"""Group, resource, subresource, name, namespace."""


class RequestClass(NamedTuple):
    """Requests that the same rules apply to (as bits), and one of them."""

    rules: int
    witness: Attributes

    @property
    def first(self) -> int:
        """Return the first rule that applies; -1 is none."""
        return (self.rules & -self.rules).bit_length() - 1


def regions(
    rules: Sequence[PolicyRule], cluster_scoped: frozenset[tuple[str, str]] = frozenset()
) -> tuple[RequestClass, ...]:
    """Return the regions of these rules. ``cluster_scoped`` are (group, resource) that have no namespace."""
    compiled = Compiled(Policy(tuple(rules)))
    users = _distinct((compiled.by_user(user), user) for user in _users(rules))
    representatives: dict[int, Attributes] = {}
    for passing, request in _resources(compiled, rules, cluster_scoped).items():
        _cross(representatives, passing, request, users)
    for passing, request in _paths(compiled, rules).items():
        _cross(representatives, passing, request, users)
    return tuple(RequestClass(*pair) for pair in representatives.items())


def _cross(
    representatives: dict[int, Attributes], passing: int, request: Attributes, users: dict[int, User | None]
) -> None:
    for bits, user in users.items():
        if passing & bits not in representatives:
            representatives[passing & bits] = replace(request, user=user)


def _distinct(pairs: Iterable[tuple[int, T]]) -> dict[int, T]:
    """Return one value for each number, the first."""
    first: dict[int, T] = {}
    for bits, value in pairs:
        first.setdefault(bits, value)
    return first


def _users(rules: Sequence[PolicyRule]) -> Iterator[User | None]:
    """Named and usual users in every combination of groups that they can have; None is a failed authentication."""
    names = _alike((rule.users for rule in rules), lambda name: str(usual_groups(name)))
    groups = _alike((rule.user_groups for rule in rules), lambda group: group if group.startswith("system:") else "")
    yield DEFAULT_USER
    spaces = [group.removeprefix(f"{_ACCOUNTS}:") for group in groups if group.startswith(f"{_ACCOUNTS}:")]
    accounts = (f"{_ACCOUNT}{space}:{FRESH}" for space in (*spaces, FRESH))
    free = [name for name in groups if not name.startswith((_ACCOUNTS, "system:unauthenticated", _AUTHENTICATED))]
    for name in (FRESH, *names, f"system:node:{FRESH}", *accounts, _ANONYMOUS):
        own = usual_groups(name)
        yield User(name, own)
        if name != _ANONYMOUS and not name.startswith(_ACCOUNT):
            yield from (User(name, (*combined, *own)) for combined in _combined(free))
    yield None


def _combined(groups: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Return every set of them; of very many the small and the whole ones."""
    if len(groups) <= _MOST_COMBINED_GROUPS:
        sizes: Iterable[int] = range(1, len(groups) + 1)
    else:
        sizes = (1, 2, len(groups))
    return (chosen for size in sizes for chosen in combinations(groups, size))


def _resources(
    compiled: Compiled, rules: Sequence[PolicyRule], cluster_scoped: frozenset[tuple[str, str]]
) -> dict[int, Attributes]:
    """Return one request without its user for each set of rules that resources, names, namespaces and verbs leave."""
    listed = _alike((rule.namespaces for rule in rules), lambda space: "" if space else "none")
    spaces = tuple(dict.fromkeys((*listed, "", "default")))
    targets: dict[tuple[int, bool, bool], Target] = {}
    for key, name in _targets(rules, spaces, cluster_scoped):
        for space in _namespaces(key, name, spaces, cluster_scoped):
            bits = compiled.by_resource(key, name, space)
            targets.setdefault((bits, bool(name), bool(key[2])), (*key, name, space))
    verbs = [_distinct((compiled.by_verb(verb), verb) for verb in each) for each in _VERB_LISTS]
    representatives: dict[int, Attributes] = {}
    for (bits, named, connects), (group, resource, subresource, name, space) in targets.items():
        for passing, verb in verbs[2 * named + (named and connects)].items():
            if bits & passing not in representatives:
                representatives[bits & passing] = Attributes(
                    user=None,
                    is_resource_request=True,
                    verb=verb,
                    api_group=group,
                    api_version="v1",
                    namespace=space,
                    resource=resource,
                    subresource=subresource,
                    name=name,
                    path=_path(group, resource, name),
                )
    return representatives


_VERB_LISTS = (_NAMELESS_VERBS, (), _NAMED_VERBS, (*_NAMED_VERBS, *_CONNECT_VERBS))


def _path(group: str, resource: str, name: str) -> str:
    return "/".join(filter(None, ("/apis" if group else "/api", group, "v1", resource, name)))


def _namespaces(
    key: tuple[str, str, str], name: str, spaces: tuple[str, ...], cluster_scoped: frozenset[tuple[str, str]]
) -> tuple[str, ...]:
    """Return the namespaces that a request for it can be in; a namespace is in itself."""
    if key[:2] == ("", "namespaces"):
        return (name,)
    if key[:2] in cluster_scoped:
        return ("",)
    return tuple(space for space in spaces if space) if name else spaces


def _targets(
    rules: Sequence[PolicyRule], spaces: tuple[str, ...], cluster_scoped: frozenset[tuple[str, str]]
) -> Iterator[tuple[tuple[str, str, str], str]]:
    """(group, resource, subresource) and name: what the rules name, and beside it what none does."""
    entries = [entry for rule in rules for entry in rule.resources]
    for group in dict.fromkeys(("", *(entry.group for entry in entries if entry.group != "*"), FRESH)):
        of_group = [entry for entry in entries if entry.group in {group, "*"}]
        names = _alike((entry.resource_names for entry in of_group), bool)
        for resource, sub in _resource_pairs(group, of_group, cluster_scoped):
            own = spaces if (group, resource) == ("", "namespaces") else ()
            for name in dict.fromkeys(("web", *names, *own, "")):
                if name or not sub:
                    yield (group, resource, sub), name


def _resource_pairs(
    group: str, entries: Sequence[GroupResources], cluster_scoped: frozenset[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    """Yield resource and subresource of a group, one pair for each set of entries that they match."""
    listed: dict[str, list[int]] = {}
    for index, entry in enumerate(entries):
        for pattern in entry.resources:
            listed.setdefault(pattern, []).append(index)
    named = [pattern.partition("/")[::2] for pattern in listed]
    anywhere = [sub for one, sub in named if one == "*" and sub not in {"", "*"}]
    subs: dict[str, list[str]] = {one: [] for one in (*_USUAL[: 2 * (not group)], FRESH)}
    for one, sub in named:
        if one not in {"*", ""}:
            subs.setdefault(one, []).extend([sub] if sub not in {"", "*"} else [])
    pairs = set()
    for resource, own in subs.items():
        for sub in dict.fromkeys(("", *own, *anywhere, FRESH)):
            patterns = (f"{resource}/{sub}" if sub else resource, f"{resource}/*", f"*/{sub}" if sub else "*", "*")
            matched = frozenset(index for pattern in patterns for index in listed.get(pattern, ()))
            alone = (group, resource) == ("", "namespaces")
            sort = (matched, bool(sub), alone, (group, resource) in cluster_scoped)
            if sort not in pairs:
                pairs.add(sort)
                yield resource, sub


def _alike(lists: Iterable[Sequence[str]], kind: Callable[[str], object]) -> list[str]:
    """Of all values one for each set of lists that hold it; those of another kind are not alike."""
    places: dict[str, list[int]] = {}
    for index, values in enumerate(lists):
        for value in values:
            places.setdefault(value, []).append(index)
    first: dict[object, str] = {}
    for value, indexes in places.items():
        first.setdefault((tuple(indexes), kind(value)), value)
    return list(first.values())


def _paths(compiled: Compiled, rules: Sequence[PolicyRule]) -> dict[int, Attributes]:
    """Return one request without its user for each set of rules that URLs and verbs leave."""
    patterns = dict.fromkeys(url for rule in rules for url in rule.non_resource_urls)
    urls = ["/version", f"/{FRESH}"]
    for pattern in patterns:
        stem = pattern.rstrip("*")
        urls += [stem or "/", f"{stem or '/'}{FRESH}"] if pattern.endswith("*") else [pattern]
    paths = _distinct((compiled.by_path(url), url) for url in urls)
    verbs = _distinct((compiled.by_verb(verb), verb) for verb in _URL_VERBS)
    return _distinct(
        (bits & passing, Attributes(user=None, is_resource_request=False, verb=verb, path=path))
        for (bits, path), (passing, verb) in product(paths.items(), verbs.items())
    )
