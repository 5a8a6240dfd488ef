"""The `audit.k8s.io/v1` words as values: a policy, what its rules match against, what comes out.

Everything here is frozen and plain. Field meaning follows `staging/src/k8s.io/apiserver/pkg/apis/audit/types.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Level(Enum):
    """How much of a request is recorded. Ordered: ``Level.NONE < Level.METADATA < ...`` (``levelOrder`` in ``types.go``)."""

    NONE = "None"
    METADATA = "Metadata"
    REQUEST = "Request"
    REQUEST_RESPONSE = "RequestResponse"

    @property
    def rank(self) -> int:
        return _RANKS[self]

    def __lt__(self, other: Level) -> bool:
        return self.rank < other.rank

    def __le__(self, other: Level) -> bool:
        return self.rank <= other.rank

    def __gt__(self, other: Level) -> bool:
        return self.rank > other.rank

    def __ge__(self, other: Level) -> bool:
        return self.rank >= other.rank


_RANKS = {level: rank for rank, level in enumerate(Level)}


class Stage(Enum):
    """When in the life of a request an event is written."""

    REQUEST_RECEIVED = "RequestReceived"
    RESPONSE_STARTED = "ResponseStarted"
    RESPONSE_COMPLETE = "ResponseComplete"
    PANIC = "Panic"


class GroupResources(NamedTuple):
    """One entry of a rule's ``resources``. Group "" is the core group, ``*`` every group (1.36 and later)."""

    group: str = ""
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """One rule. An empty tuple does not restrict. ``line`` is where the rule stands in the text, from 1 (0: unknown)."""

    level: Level
    users: tuple[str, ...] = ()
    user_groups: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    resources: tuple[GroupResources, ...] = ()
    namespaces: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = ()
    omit_stages: tuple[Stage, ...] = ()
    omit_managed_fields: bool | None = None
    line: int = 0


class Policy(NamedTuple):
    """A policy that the API server would load: rules in order, and what holds for all of them."""

    rules: tuple[PolicyRule, ...]
    omit_stages: tuple[Stage, ...] = ()
    omit_managed_fields: bool = False


class User(NamedTuple):
    """Who asks, as authentication saw them (never the impersonated user): name and groups."""

    name: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What rules match against (``authorizer.Attributes``). ``user`` is None where authentication failed.

    ``namespace``, ``resource``, ``subresource`` and ``name`` are "" where the request has none; ``path`` is the URL's
    path with percent escapes decoded, without the query.
    """

    user: User | None
    is_resource_request: bool
    verb: str
    api_group: str = ""
    api_version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    path: str = ""


class Decision(NamedTuple):
    """What a policy makes of a request. ``omit_stages`` is the union of policy and rule; ``rule`` from 0, -1 is none."""

    level: Level
    omit_stages: tuple[Stage, ...]
    omit_managed_fields: bool
    rule: int
