"""The Go types of `audit.k8s.io` as far as decoding is concerned: field names, and type names as errors print them.

From `apiserver/pkg/apis/audit/{types.go,v1/types.go}` and `apimachinery/pkg/apis/meta/v1/types.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class TextType(NamedTuple):
    """A string, or a type made of one."""

    go_type: str = "string"


class Boolean(NamedTuple):
    """A bool. ``pointer``: null unsets it; otherwise null leaves it alone."""

    pointer: bool = False
    go_type: str = "bool"


class Integer(NamedTuple):
    """An int64."""

    go_type: str = "int64"


class Timestamp(NamedTuple):
    """A ``metav1.Time``: RFC 3339 in a string."""

    go_type: str = "v1.Time"


class Anything(NamedTuple):
    """Raw JSON that nobody looks into."""


class ListOf(NamedTuple):
    """A slice."""

    element: Schema
    go_type: str


class MapOf(NamedTuple):
    """A map with string keys."""

    element: Schema
    go_type: str


class Struct(NamedTuple):
    """A struct: ``name`` stands before a field in an error, ``go_type`` behind it.

    ``embedded``: fields of another struct inside it, with that one's name; errors say it since Go's decoder does.
    """

    name: str
    go_type: str
    fields: Mapping[str, Schema]
    embedded: Mapping[str, str] = MappingProxyType({})


Schema = TextType | Boolean | Integer | Timestamp | Anything | ListOf | MapOf | Struct

# seen: 1.31.14 does not name the embedded struct, 1.36.3 does; the other words that changed with Go changed in 1.34
_EMBEDDED_SINCE = (1, 34)
_TEXTS = ListOf(TextType(), "[]string")
_TYPE_META: Mapping[str, Schema] = {"apiVersion": TextType(), "kind": TextType()}
_OWNER_REFERENCE = Struct(
    "OwnerReference",
    "v1.OwnerReference",
    {
        **_TYPE_META,
        "name": TextType(),
        "uid": TextType("types.UID"),
        "controller": Boolean(pointer=True),
        "blockOwnerDeletion": Boolean(pointer=True),
    },
)
_MANAGED_FIELDS = Struct(
    "ManagedFieldsEntry",
    "v1.ManagedFieldsEntry",
    {
        "manager": TextType(),
        "operation": TextType("v1.ManagedFieldsOperationType"),
        "apiVersion": TextType(),
        "time": Timestamp(),
        "fieldsType": TextType(),
        "fieldsV1": Anything(),
        "subresource": TextType(),
    },
)
OBJECT_META = Struct(
    "ObjectMeta",
    "v1.ObjectMeta",
    {
        "name": TextType(),
        "generateName": TextType(),
        "namespace": TextType(),
        "selfLink": TextType(),
        "uid": TextType("types.UID"),
        "resourceVersion": TextType(),
        "generation": Integer(),
        "creationTimestamp": Timestamp(),
        "deletionTimestamp": Timestamp(),
        "deletionGracePeriodSeconds": Integer(),
        "labels": MapOf(TextType(), "map[string]string"),
        "annotations": MapOf(TextType(), "map[string]string"),
        "ownerReferences": ListOf(_OWNER_REFERENCE, "[]v1.OwnerReference"),
        "finalizers": _TEXTS,
        "managedFields": ListOf(_MANAGED_FIELDS, "[]v1.ManagedFieldsEntry"),
    },
)

# the internal type has no JSON names: its fields are known by their Go names, and metadata's stand at the top
_GO_NAMES = {
    "level": "Level",
    "users": "Users",
    "userGroups": "UserGroups",
    "verbs": "Verbs",
    "resources": "Resources",
    "namespaces": "Namespaces",
    "nonResourceURLs": "NonResourceURLs",
    "omitStages": "OmitStages",
    "omitManagedFields": "OmitManagedFields",
    "rules": "Rules",
    "group": "Group",
    "resourceNames": "ResourceNames",
}


def policy_schema(package: str, version: tuple[int, int]) -> Struct:
    """Return the Policy of a package: ``v1``, ``v1beta1``, ``v1alpha1``, or ``audit`` for the internal one."""
    entry = Struct(
        "GroupResources",
        f"{package}.GroupResources",
        _named(package, {"group": TextType(), "resources": _TEXTS, "resourceNames": _TEXTS}),
    )
    stages = ListOf(TextType(f"{package}.Stage"), f"[]{package}.Stage")
    rule_fields: dict[str, Schema] = {
        "level": TextType(f"{package}.Level"),
        "users": _TEXTS,
        "userGroups": _TEXTS,
        "verbs": _TEXTS,
        "resources": ListOf(entry, f"[]{package}.GroupResources"),
        "namespaces": _TEXTS,
        "nonResourceURLs": _TEXTS,
        "omitStages": stages,
        **_since_1_23(version, Boolean(pointer=True)),
    }
    rule = Struct("PolicyRule", f"{package}.PolicyRule", _named(package, rule_fields))
    fields: dict[str, Schema] = {
        "rules": ListOf(rule, f"[]{package}.PolicyRule"),
        "omitStages": stages,
        **_since_1_23(version, Boolean()),
    }
    metadata: Mapping[str, Schema] = OBJECT_META.fields if package == "audit" else {"metadata": OBJECT_META}
    embedded = (
        dict.fromkeys(OBJECT_META.fields, "ObjectMeta") if package == "audit" and version >= _EMBEDDED_SINCE else {}
    )
    return Struct("Policy", f"{package}.Policy", {**_TYPE_META, **metadata, **_named(package, fields)}, embedded)


def _named(package: str, fields: Mapping[str, Schema]) -> Mapping[str, Schema]:
    return {_GO_NAMES[name]: schema for name, schema in fields.items()} if package == "audit" else fields


def _since_1_23(version: tuple[int, int], schema: Boolean) -> Mapping[str, Schema]:
    return {"omitManagedFields": schema} if version >= (1, 23) else {}
