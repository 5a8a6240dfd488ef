"""Rules that would save most. Only what machinery does by itself, and never anything sensitive: each rule with its proof.

Candidates are of four kinds: health checks and discovery, leader elections and heartbeats, Events of Kubernetes, and
reads by the system's own users of resources that give nothing away. What people do stays recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from auditctl.log.aggregate import CellCounts, CellKey, PolicyMatcher
from auditctl.log.replay import decided, writes
from auditctl.log.sensitive import kind_of, rule
from auditctl.log.sizes import bytes_at, level_of
from auditctl.policy.compare import first_difference
from auditctl.policy.types import GroupResources, Level, Policy, PolicyRule

_READS = ("get", "list", "watch")
_PATHS = ("/healthz*", "/livez*", "/readyz*", "/openapi/*", "/version", "/api", "/apis", "/apis/*", "/api/*")
_SYSTEM = "system:"
_NOBODY = "system:anonymous"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A rule of level None: what it saves, why it is harmless, and how many sensitive events of the log it would drop."""

    rule: PolicyRule
    reason: str
    events: int
    bytes: int
    sensitive_events: int
    proof: str


def candidate(key: CellKey) -> tuple[str, str] | None:
    """Return the rule that would drop a cell: its kind, and the user where it is for one. None: it stays recorded."""
    if not key.resource:
        covered = any(
            key.path == each.rstrip("*") or (each[-1] == "*" and key.path.startswith(each[:-1])) for each in _PATHS
        )
        return ("paths", "") if key.verb == "get" and covered and key.authenticated else None
    if kind_of(key.group, key.resource, key.subresource) or key.subresource:
        return None
    if (key.group, key.resource) == ("coordination.k8s.io", "leases") and key.user.startswith(_SYSTEM):
        return ("leases", "")
    if key.resource == "events" and key.group in {"", "events.k8s.io"} and key.user.startswith(_SYSTEM):
        return ("events", "")
    if key.verb in _READS and key.user.startswith(_SYSTEM) and key.user != _NOBODY:
        return ("reads", key.user)
    return None


def suggestions(judge: PolicyMatcher, tally: CellCounts, most: int) -> list[Suggestion]:
    """Return the rules that save most of what the judge's policy would write, best first."""
    saved: dict[tuple[str, str], list[int]] = {}
    keys: dict[tuple[str, str], list[CellKey]] = {}
    for key, volume, _ in tally.volumes():
        decision = decided(judge, key, 0)
        which = candidate(key)
        if which is not None and writes(decision, key.stage):
            sums = saved.setdefault(which, [0, 0])
            sums[0] += volume.events
            sums[1] += bytes_at(volume, level_of(key.level), decision.level)
            keys.setdefault(which, []).append(key)
    ranked = sorted(saved, key=lambda which: (-saved[which][0], which))
    result = [_suggestion(which, keys[which], *saved[which]) for which in ranked[:most]]
    return [each for each in result if each is not None]


def _suggestion(which: tuple[str, str], keys: Iterable[CellKey], events: int, size: int) -> Suggestion | None:
    keys = list(keys)
    dropping, reason = _rule(which, keys)
    if not is_harmless(dropping):
        return None
    sensitive = sum(1 for key in keys if kind_of(key.group, key.resource, key.subresource))
    proof = "no request whatever that is sensitive matches it: put before or behind a rule for all of those, it decides alike"
    return Suggestion(rule=dropping, reason=reason, events=events, bytes=size, sensitive_events=sensitive, proof=proof)


def is_harmless(dropping: PolicyRule) -> bool:
    """Is there no request at all that both this rule and the sensitive ones match? Exactly, over all requests."""
    sensitive, rest = rule(Level.REQUEST_RESPONSE), PolicyRule(level=Level.METADATA)
    one, other = Policy((sensitive, dropping, rest)), Policy((dropping, sensitive, rest))
    return first_difference(one, other) is None


def _rule(which: tuple[str, str], keys: Iterable[CellKey]) -> tuple[PolicyRule, str]:
    kind, user = which
    users = tuple(sorted({key.user for key in keys if key.user}))
    if kind == "paths":
        used = tuple(
            each
            for each in _PATHS
            if any(key.path == each.rstrip("*") or (each[-1] == "*" and key.path.startswith(each[:-1])) for key in keys)
        )
        return PolicyRule(level=Level.NONE, verbs=("get",), non_resource_urls=used), "health checks and discovery"
    if kind == "leases":
        entry = GroupResources("coordination.k8s.io", ("leases",))
        return PolicyRule(level=Level.NONE, users=users, resources=(entry,)), "heartbeats and leader elections"
    if kind == "events":
        entries = tuple(_entries(keys))
        return PolicyRule(level=Level.NONE, users=users, resources=entries), "Events, which the cluster keeps itself"
    verbs = tuple(verb for verb in _READS if any(key.verb == verb for key in keys))
    return PolicyRule(level=Level.NONE, users=(user,), verbs=verbs, resources=tuple(_entries(keys))), f"reads by {user}"


def _entries(keys: Iterable[CellKey]) -> Iterator[GroupResources]:
    groups: dict[str, set[str]] = {}
    for key in keys:
        groups.setdefault(key.group, set()).add(key.resource)
    for group, resources in sorted(groups.items()):
        yield GroupResources(group, tuple(sorted(resources)))


def yaml_of(dropping: PolicyRule, comment: str, indent: str) -> Iterator[str]:
    """Yield the rule as text, in the style of kubeadm's own files."""
    yield f"{indent}# {comment}"
    yield f"{indent}- level: {dropping.level.value}"
    for field, values in (
        ("users", dropping.users),
        ("verbs", dropping.verbs),
        ("nonResourceURLs", dropping.non_resource_urls),
    ):
        if values:
            yield f"{indent}  {field}:"
            yield from (f"{indent}  - {_quoted(value)}" for value in values)
    if dropping.resources:
        yield f"{indent}  resources:"
    for entry in dropping.resources:
        yield f"{indent}  - group: {_quoted(entry.group)}"
        yield f"{indent}    resources:"
        yield from (f"{indent}    - {_quoted(value)}" for value in entry.resources)


def _quoted(value: str) -> str:
    """Return a name in double quotes, as JSON: YAML reads it as it is."""
    plain = value.replace("-", "").replace(".", "").isalpha()
    if (
        plain
        and value.islower()
        and value.isascii()
        and value not in {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
    ):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
