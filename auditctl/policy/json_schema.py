"""The format of audit policies as a JSON Schema (draft 07), for editors and for checks of many files.

Made from the types that the decoder knows (`schema.policy_schema`), so that a field is in both or in neither, and from
the rules of `apiserver/pkg/apis/audit/validation/validation.go`. What the schema refuses, a server of that version
refuses or silently drops. A null is allowed where the server takes it for an absent field.

A schema cannot say: that a name was written twice in a mapping, that a number is beyond 64 bits, that a group has
more than 253 bytes of other alphabets, and what YAML 1.1 makes of words such as `yes` (the server's parser reads a bool).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from auditctl.policy.json_schema_texts import DESCRIPTIONS
from auditctl.policy.schema import Anything, Boolean, Integer, ListOf, MapOf, Schema, Struct, TextType, policy_schema
from auditctl.policy.schema import Timestamp as TimestampType
from auditctl.policy.selectors import MAX_SUBDOMAIN
from auditctl.policy.type_meta import GROUP, V1, accepted_versions
from auditctl.policy.types import Level, Stage
from auditctl.policy.validate import ANY_GROUP_SINCE

SCHEMA_FILE = "audit-policy.schema.json"
"""The name under which the editors' modeline of a policy expects the schema, beside the policy."""
MODELINE = f"# yaml-language-server: $schema={SCHEMA_FILE}"
"""The comment by which yaml-language-server (the extension of most editors) finds the schema of a file."""

JsonSchema = dict[str, Any]
Version = tuple[int, int]

_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
# RFC 3339 as Go's time.Parse reads it
_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{1,2}:[0-9]{2}:[0-9]{2}([.,][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$"
_URL = r"^(\*|/[^*]*\*?)$"
_FILLED: JsonSchema = {"type": "array", "minItems": 1}


def json_schema(version: Version) -> JsonSchema:
    """Return the schema of the policies that a server of that version loads, ready for ``json.dumps``."""
    root = _node(policy_schema(V1, version), "", version)
    root["properties"]["apiVersion"] |= {"enum": [f"{GROUP}/{name}" for name in accepted_versions(version)]}
    root["properties"]["kind"] |= {"enum": ["Policy"]}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": f"Audit policy of kube-apiserver {version[0]}.{version[1]}",
        "description": DESCRIPTIONS[""],
        **root,
        "type": "object",
        "required": ["apiVersion", "kind", "rules"],
    }


def _node(schema: Schema, path: str, version: Version) -> JsonSchema:
    """Return the schema of one field; ``path`` is its field path with ``[]`` for any element of a list."""
    described = {"description": DESCRIPTIONS[path]} if path in DESCRIPTIONS and path else {}
    constraint = _CONSTRAINTS.get(path)
    return {**_plain(schema, path, version), **(constraint(version) if constraint else {}), **described}


def _plain(schema: Schema, path: str, version: Version) -> JsonSchema:
    match schema:
        case TextType():
            return _nullable("string")
        case Boolean():
            return _nullable("boolean")
        case Integer():
            return _nullable("integer")
        case TimestampType():
            return {**_nullable("string"), "pattern": _TIME}
        case Anything():
            return {}
        case ListOf():
            return {**_nullable("array"), "items": _node(schema.element, f"{path}[]", version)}
        case MapOf():
            return {**_nullable("object"), "additionalProperties": _node(schema.element, f"{path}{{}}", version)}
        case Struct():
            prefix = f"{path}." if path else ""
            fields = {name: _node(field, prefix + name, version) for name, field in schema.fields.items()}
            return {**_nullable("object"), "additionalProperties": False, "properties": fields}


def _nullable(name: str) -> JsonSchema:
    return {"type": [name, "null"]}


def _enum(values: Iterable[str]) -> JsonSchema:
    return {"type": "string", "enum": list(values)}


def _group(version: Version) -> JsonSchema:
    """Return the schema of an API group: the core group, a domain name, and since 1.36 every group."""
    any_group = r"|\*" if version >= ANY_GROUP_SINCE else ""
    return {"pattern": f"^({_SUBDOMAIN}{any_group})?$", "maxLength": MAX_SUBDOMAIN}


def _entry(version: Version) -> JsonSchema:  # noqa: ARG001 (the shape of a constraint)
    """Return what binds the fields of an entry of ``resources``: names need resources."""
    filled = {"properties": {"resourceNames": _FILLED}, "required": ["resourceNames"]}
    return {"if": filled, "then": {"properties": {"resources": _FILLED}, "required": ["resources"]}}


def _rule(version: Version) -> JsonSchema:  # noqa: ARG001 (the shape of a constraint)
    """Return what binds the fields of a rule: it is for resources, or for other URLs, never for both."""
    urls, resources, namespaces = (
        {"properties": {name: _FILLED}, "required": [name]} for name in ("nonResourceURLs", "resources", "namespaces")
    )
    return {
        "type": "object",
        "required": ["level"],
        "not": {"allOf": [urls, {"anyOf": [resources, namespaces]}]},
    }


_CONSTRAINTS: Mapping[str, Callable[[Version], JsonSchema]] = {
    "apiVersion": lambda _: {"type": "string"},
    "kind": lambda _: {"type": "string"},
    "rules": lambda _: _FILLED,
    "rules[]": _rule,
    "rules[].level": lambda _: _enum(level.value for level in Level),
    "rules[].resources[]": _entry,
    "rules[].resources[].group": _group,
    "rules[].nonResourceURLs[]": lambda _: {"type": "string", "pattern": _URL},
    "rules[].omitStages[]": lambda _: _enum(stage.value for stage in Stage),
    "omitStages[]": lambda _: _enum(stage.value for stage in Stage),
}
