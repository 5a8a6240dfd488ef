"""First, plain loader (being replaced): YAML 1.1 text to a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML

from auditctl.findings import Finding
from auditctl.policy.types import GroupResources, Level, Policy, PolicyRule, Stage


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the server makes of a text. ``error`` and ``warning`` are its words, "" where it has none."""

    policy: Policy | None
    error: str = ""
    warning: str = ""
    dropped: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def load(raw: bytes, version: tuple[int, int] = (1, 36)) -> Loaded:  # noqa: ARG001
    try:
        tree: Any = YAML(typ="safe", pure=True).load(raw)
        rules = tuple(_rule(rule) for rule in tree["rules"])
        stages = tuple(Stage(stage) for stage in tree.get("omitStages") or ())
        return Loaded(Policy(rules, stages, bool(tree.get("omitManagedFields"))))
    except Exception as error:  # noqa: BLE001
        return Loaded(None, error=str(error) or "refused")


def _rule(rule: Any) -> PolicyRule:
    def texts(key: str) -> tuple[str, ...]:
        return tuple(rule.get(key) or ())

    entries = tuple(
        GroupResources(e.get("group") or "", tuple(e.get("resources") or ()), tuple(e.get("resourceNames") or ()))
        for e in rule.get("resources") or ()
    )
    return PolicyRule(
        Level(rule["level"]),
        texts("users"),
        texts("userGroups"),
        texts("verbs"),
        entries,
        texts("namespaces"),
        texts("nonResourceURLs"),
        tuple(Stage(stage) for stage in rule.get("omitStages") or ()),
        rule.get("omitManagedFields"),
    )
