"""Resolve what people call a resource (``deploy``, ``Pod``, ``events.events.k8s.io``) to what the API calls it.

As `k8s.io/apimachinery/pkg/api/meta/restmapper.go` and kubectl do: a plural is tried first, then a singular or a kind,
then a short name, in any case; behind a dot stands a group, whole or its beginning, perhaps with a version before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from auditctl.patterns import lazily
from auditctl.policy.lint_checks import Known, Resource

_VERSION = lazily(r"v[0-9]+(?:(?:alpha|beta)[0-9]+)?")


def resolve(name: str, known: Known, version: tuple[int, int]) -> tuple[Resource, ...]:
    """Return the resources that ``name`` can mean to a server of ``version``; none is "unknown", several are a question.

    ``name`` has no subresource. A resource that the version serves in a preview only counts too: ``preview`` tells.
    """
    word, _, rest = name.partition(".")
    first, _, behind = rest.partition(".")
    group = behind if _VERSION.fullmatch(first) else rest
    served = [each for each in (*known.resources, *known.preview) if _is_served(each, version)]
    in_group = _of_group(served, group) if rest else served
    for is_meant in _WAYS:
        meant = [each for each in in_group if is_meant(each, word.lower())]
        if meant:
            return tuple(_unique(meant))
    return ()


def _is_served(resource: Resource, version: tuple[int, int]) -> bool:
    return version in resource.preview if resource.preview else resource.since <= version


def _of_group(resources: Iterable[Resource], group: str) -> list[Resource]:
    """The resources of a group; of groups that begin with the word where none is called so."""
    rows = list(resources)
    return [each for each in rows if each.group == group] or [
        each for each in rows if group and each.group.startswith(group)
    ]


def _unique(resources: Iterable[Resource]) -> Iterable[Resource]:
    """A resource once, though a stable and a preview row of it may both be served."""
    return {(each.group, each.name): each for each in reversed(list(resources))}.values()


_WAYS: tuple[Callable[[Resource, str], bool], ...] = (
    lambda resource, word: resource.name == word,
    lambda resource, word: word in {resource.singular, resource.kind.lower()},
    lambda resource, word: word in resource.short_names,
)
