"""The JSON Schema of policies against the recorded verdicts: what it refuses, the server refuses or drops."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from auditctl import facts
from auditctl.policy.goyaml.construct import read_yaml
from auditctl.policy.goyaml.faults import SyntaxFault
from auditctl.policy.goyaml.json import read_json
from auditctl.policy.goyaml.values import JsonKind, Value
from auditctl.policy.json_schema import json_schema
from auditctl.policy.json_schema_texts import DESCRIPTIONS
from auditctl.policy.load import load

GOLDEN = Path(__file__).parents[1] / "golden" / "policy"
VALIDATORS = {version: Draft7Validator(json_schema(version)) for version in ((1, 36), (1, 31))}
# accepted by the server, and refused by the schema on purpose: the file names no kind
STRICTER = "kind"


def golden() -> list[tuple[bytes, dict[str, Any]]]:
    rows = [json.loads(line) for line in (GOLDEN / "load.jsonl").read_text().splitlines()]
    rows += map(json.loads, gzip.decompress((GOLDEN / "texts.jsonl.gz").read_bytes()).decode().splitlines())
    return [(raw_of(row), row) for row in rows]


def raw_of(row: dict[str, Any]) -> bytes:
    if "base64" in row:
        return base64.b64decode(row["base64"])
    text: str = row["policy"] if "policy" in row else row["text"]
    return text.encode()


def value_of(raw: bytes) -> Any:
    """The value that the server's own reader makes of the text; None where it is no YAML, or has a key twice."""
    try:
        return plain(read_json(raw) if raw.lstrip().startswith(b"{") else read_yaml(raw).value)
    except (SyntaxFault, KeyError):
        return None


def plain(value: Value) -> Any:
    match value.kind:
        case JsonKind.OBJECT:
            if len({pair.key for pair in value.pairs}) < len(value.pairs):
                raise KeyError
            return {pair.key: plain(pair.value) for pair in value.pairs}
        case JsonKind.ARRAY:
            return [plain(item) for item in value.items]
        case JsonKind.STRING:
            return value.text
        case JsonKind.NULL:
            return None
        case JsonKind.BOOL:
            return value.text == "true"
        case JsonKind.NUMBER:
            return json.loads(value.text)


@pytest.mark.parametrize("version", VALIDATORS)
def test_what_the_schema_refuses_the_server_refuses_or_drops(version: tuple[int, int]) -> None:
    validator, refused = VALIDATORS[version], 0
    for raw, row in golden():
        value = value_of(raw)
        if value is None:
            continue
        errors = [error for error in validator.iter_errors(value) if STRICTER not in str(error.message)]
        if errors:
            refused += 1
            error = row.get("error_1.31", row["error"]) if version == (1, 31) else row["error"]
            assert error or load(raw, version).dropped, (row, errors[0].message)

    assert refused > 300


def test_the_schema_refuses_what_a_server_refuses_for_its_fields() -> None:
    """Of the hand-made verdicts, all that can be read at all, but for what a schema cannot say."""
    missed = []
    for line in (GOLDEN / "load.jsonl").read_text().splitlines():
        row = json.loads(line)
        value = value_of(row["policy"].encode())
        if row["error"] and value is not None and VALIDATORS[1, 36].is_valid(value):
            missed.append(row["name"])

    assert missed == []


@pytest.mark.parametrize("name", facts.policy_names())
def test_the_shipped_policies_pass(name: str) -> None:
    assert list(VALIDATORS[1, 36].iter_errors(value_of(facts.policy_text(name).encode()))) == []


def test_the_schema_knows_the_version() -> None:
    old, new = json_schema((1, 22)), json_schema((1, 36))

    assert "omitManagedFields" not in old["properties"]
    assert old["properties"]["apiVersion"]["enum"] == [
        "audit.k8s.io/v1",
        "audit.k8s.io/v1beta1",
        "audit.k8s.io/v1alpha1",
    ]
    assert new["properties"]["apiVersion"]["enum"] == ["audit.k8s.io/v1"]
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "rules": [{"level": "None", "resources": [{"group": "*"}]}],
    }
    assert VALIDATORS[1, 36].is_valid(policy)
    assert not VALIDATORS[1, 31].is_valid(policy)


def test_every_field_of_a_policy_is_described() -> None:
    """Those of ``metadata`` apart, of which the server reads nothing."""

    def fields(schema: dict[str, Any], path: str) -> list[str]:
        inner = [
            name
            for key, value in schema.get("properties", {}).items()
            for name in fields(value, f"{path}.{key}".strip("."))
        ]
        return [path, *inner, *(fields(schema["items"], f"{path}[]") if "items" in schema else [])]

    expected = {path for path in fields(json_schema((1, 36)), "") if not path.startswith("metadata.")}
    texts_of_names = {path for path in expected if path.endswith("[]") and path not in DESCRIPTIONS}

    assert expected - set(DESCRIPTIONS) == texts_of_names
    assert set(DESCRIPTIONS) - expected == {"metadata.name"}
