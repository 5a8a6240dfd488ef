"""The resources that an API server of a version serves by itself, from the package's table."""

from __future__ import annotations

import json
from functools import cache

from auditctl import facts
from auditctl.operations.policy_files import NEWEST, Version
from auditctl.policy.lint_checks import Known, Resource


@cache
def built_in(version: Version = NEWEST) -> Known:
    """The resources that a server of that version has of its own, and the groups that it no longer serves."""
    table = json.loads(facts.template("resources.json").read_text(encoding="utf-8"))
    rows = (
        Resource(row["group"], row["resource"], row["kind"], row["short"], row["namespaced"], numbers(row["since"]))
        for row in table["resources"]
    )
    gone = (group for group, until in table["goneGroups"].items() if version >= numbers(until))
    return Known.of(tuple(rows), frozenset(gone))


def numbers(version: str) -> Version:
    """``1.22`` of a table as (1, 22)."""
    major, minor = version.split(".")
    return int(major), int(minor)
