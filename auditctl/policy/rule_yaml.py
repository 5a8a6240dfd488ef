"""Write a rule as the YAML that a person would write: block style, empty fields left out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from auditctl.patterns import lazily
from auditctl.policy.types import GroupResources, PolicyRule

_PLAIN = lazily(r"[A-Za-z/][A-Za-z0-9_./:-]*[A-Za-z0-9*/]|[A-Za-z]")
_NOT_TEXT = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})


def rule_lines(rule: PolicyRule, indent: str = "") -> tuple[str, ...]:
    """Return the lines of ``rule`` as one item of ``rules``; what it reads back as is the rule, its line apart."""
    fields = (
        f"level: {rule.level.value}",
        *_list("users", rule.users),
        *_list("userGroups", rule.user_groups),
        *_list("verbs", rule.verbs),
        *_list("namespaces", rule.namespaces),
        *_resources(rule.resources),
        *_list("nonResourceURLs", rule.non_resource_urls),
        *_list("omitStages", tuple(stage.value for stage in rule.omit_stages)),
        *(() if rule.omit_managed_fields is None else (f"omitManagedFields: {str(rule.omit_managed_fields).lower()}",)),
    )
    return tuple(f"{indent}{'  ' if place else '- '}{field}" for place, field in enumerate(fields))


def _list(name: str, values: Sequence[str]) -> Iterator[str]:
    if values:
        yield f"{name}:"
        yield from (f"- {_scalar(value)}" for value in values)


def _resources(entries: Sequence[GroupResources]) -> Iterator[str]:
    if entries:
        yield "resources:"
    for entry in entries:
        yield f"- group: {_scalar(entry.group)}"
        yield from (f"  {line}" for line in _list("resources", entry.resources))
        yield from (f"  {line}" for line in _list("resourceNames", entry.resource_names))


def _scalar(value: str) -> str:
    """Return the value plain where YAML reads it as that text, else as JSON, which YAML reads too."""
    plain = _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT and not value.endswith(":")
    return value if plain else json.dumps(value)
