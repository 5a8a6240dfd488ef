"""Decoded fields to a draft (anything goes), and a legal draft to a policy (nothing does)."""

from __future__ import annotations

from collections.abc import Mapping

from auditctl.policy.decode import Elements, Fields
from auditctl.policy.types import GroupResources, Level, Policy, PolicyRule, Stage
from auditctl.policy.validate import DraftEntry, DraftRule, UnvalidatedPolicy


def draft_of(fields: Fields) -> UnvalidatedPolicy:
    """Return the policy as it was written. The internal type's fields have other names, and come to an empty draft."""
    return UnvalidatedPolicy(
        rules=tuple(_rule(rule) for rule in _structs(fields, "rules")),
        omit_stages=_texts(fields, "omitStages"),
        omit_managed_fields=fields.get("omitManagedFields") is True,
    )


def _rule(fields: Fields) -> DraftRule:
    omit_managed_fields = fields.get("omitManagedFields")
    return DraftRule(
        level=_text(fields, "level"),
        users=_texts(fields, "users"),
        user_groups=_texts(fields, "userGroups"),
        verbs=_texts(fields, "verbs"),
        resources=tuple(_entry(entry) for entry in _structs(fields, "resources")),
        namespaces=_texts(fields, "namespaces"),
        non_resource_urls=_texts(fields, "nonResourceURLs"),
        omit_stages=_texts(fields, "omitStages"),
        omit_managed_fields=omit_managed_fields if isinstance(omit_managed_fields, bool) else None,
    )


def _entry(fields: Fields) -> DraftEntry:
    return DraftEntry(_text(fields, "group"), _texts(fields, "resources"), _texts(fields, "resourceNames"))


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _texts(fields: Fields, name: str) -> tuple[str, ...]:
    value = fields.get(name)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, Elements) else ()


def _structs(fields: Fields, name: str) -> tuple[Fields, ...]:
    value = fields.get(name)
    return tuple(item for item in value if isinstance(item, dict)) if isinstance(value, Elements) else ()


def policy_of(draft: UnvalidatedPolicy, places: Mapping[str, tuple[int, int]]) -> Policy:
    """Return the policy. ``draft`` has to be valid; ``places`` tells on which line each rule stands."""
    return Policy(
        rules=tuple(
            PolicyRule(
                level=Level(rule.level),
                users=rule.users,
                user_groups=rule.user_groups,
                verbs=rule.verbs,
                resources=tuple(
                    GroupResources(entry.group, entry.resources, entry.resource_names) for entry in rule.resources
                ),
                namespaces=rule.namespaces,
                non_resource_urls=rule.non_resource_urls,
                omit_stages=_stages(rule.omit_stages),
                omit_managed_fields=rule.omit_managed_fields,
                line=places.get(f"rules[{index}]", (0, 0))[0],
            )
            for index, rule in enumerate(draft.rules)
        ),
        omit_stages=_stages(draft.omit_stages),
        omit_managed_fields=draft.omit_managed_fields,
    )


def _stages(names: tuple[str, ...]) -> tuple[Stage, ...]:
    return tuple(Stage(name) for name in names)
