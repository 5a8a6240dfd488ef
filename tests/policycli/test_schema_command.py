"""`policy schema` and the modeline by which an editor finds what it printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator

from auditctl.policy.load import load

Call = Callable[..., Any]


def test_the_schema_is_printed_as_json_for_the_version(policy: Call) -> None:
    old, new = policy("schema", "--kubernetes", "1.22"), policy("schema")

    assert "omitManagedFields" not in json.loads(old.out)["properties"]
    Draft7Validator.check_schema(json.loads(new.out))
    assert json.loads(new.out) == policy("schema", "-o", "json").json


def test_a_version_behind_the_tables_is_said_to_be_unknown(policy: Call) -> None:
    ran = policy("schema", "--kubernetes", "1.99")
    assert ran.code == 0
    assert "not known to auditctl: a guess" in ran.err


def test_a_policy_is_shown_with_the_modeline_on_request(policy: Call, tmp_path: Path) -> None:
    plain, named = policy("show", "baseline").out, policy("show", "baseline", "--modeline").out

    assert named == f"# yaml-language-server: $schema=audit-policy.schema.json\n{plain}"
    assert load(named.encode()).error == ""
