"""The resources that an API server of a version serves by itself, from the package's table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from auditctl import facts
from auditctl.operations.policy_files import NEWEST, Version
from auditctl.policy.lint_checks import Known, Resource


@cache
def built_in(version: Version = NEWEST) -> Known:
    """The resources that a server of that version has of its own, and the groups that it no longer serves."""
    table = json.loads(facts.template("resources.json").read_text(encoding="utf-8"))
    rows = (_resource(row) for row in table["resources"])
    preview = (_resource(row) for row in table["preview"])
    gone = (group for group, until in table["goneGroups"].items() if version >= numbers(until))
    return Known.of(tuple(rows), frozenset(gone), tuple(preview))


def _resource(row: Mapping[str, Any]) -> Resource:
    """A preview has no ``since``: no stable version serves it."""
    return Resource(
        group=row["group"],
        name=row["resource"],
        kind=row["kind"],
        short_names=tuple(row["short"]),
        namespaced=row["namespaced"],
        since=numbers(row["since"]) if "since" in row else (1, 0),
        singular=row["singular"],
        preview=tuple(numbers(release) for release in row.get("releases", ())),
    )


def numbers(version: str) -> Version:
    """``1.22`` of a table as (1, 22)."""
    major, minor = version.split(".")
    return int(major), int(minor)
