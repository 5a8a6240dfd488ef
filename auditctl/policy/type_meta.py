"""Which object a text says it is, and whether the audit scheme knows it.

From `apimachinery/pkg/runtime/serializer/json/{meta.go,json.go}`, `runtime/scheme.go` and `apiserver/pkg/audit/scheme.go`.
"""

from __future__ import annotations

from typing import NamedTuple

from auditctl.policy.goyaml.quoting import quote
from auditctl.policy.goyaml.values import JsonKind, Value

GROUP = "audit.k8s.io"
INTERNAL = "__internal"
V1 = "v1"
BETA_VERSIONS = ("v1beta1", "v1alpha1")
_BETA_UNTIL = (1, 23)
_SCHEME = "k8s.io/apiserver/pkg/audit/scheme.go:30"
_SNIFFED = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
_AUDIT_KINDS = frozenset({"PolicyList", "Event", "EventList"})
_META_KINDS = frozenset(
    {"WatchEvent", "ListOptions", "GetOptions", "DeleteOptions", "CreateOptions", "UpdateOptions", "PatchOptions"}
)
_UNVERSIONED_KINDS = frozenset({"Status", "APIVersions", "APIGroupList", "APIGroup", "APIResourceList"})


class KindFault(Exception):  # noqa: N818 - it never leaves the wing; `load` turns it into words
    """The text is no audit policy. The message is the server's."""


class TypeName(NamedTuple):
    """Group, version and kind."""

    group: str
    version: str
    kind: str

    def __str__(self) -> str:
        return f"{self.api_version}, Kind={self.kind}"

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


def accepted_versions(version: tuple[int, int]) -> tuple[str, ...]:
    """Return the versions of ``audit.k8s.io`` that such a server loads."""
    return (V1, *BETA_VERSIONS) if version <= _BETA_UNTIL else (V1,)


def type_name(value: Value, raw: bytes) -> TypeName:
    """What the text says it is, completed by what was asked for. Keys count in any case here. Raises KindFault."""
    words = _sniff(value)
    api_version = words["apiVersion"]
    if api_version.count("/") > 1:
        raise KindFault(f"unexpected GroupVersion string: {api_version}")
    group, _, version = api_version.rpartition("/")
    name = TypeName(group, version, words["kind"] or "Policy")
    if not name.version and name.group in {"", GROUP}:
        return name._replace(group=GROUP, version=INTERNAL)
    if not name.version:
        raise KindFault(f"Object 'apiVersion' is missing in '{raw.decode('utf-8', 'replace')}'")
    return name


def _sniff(value: Value) -> dict[str, str]:
    words = {"apiVersion": "", "kind": ""}
    if value.kind is JsonKind.NULL:
        return words
    prefix = "couldn't get version/kind; json parse error: json: cannot unmarshal"
    if value.kind is not JsonKind.OBJECT:
        raise KindFault(f"{prefix} {value.kind.value} into Go value of type {_SNIFFED}")
    fault = ""
    for pair in value.pairs:
        folded = pair.key.casefold()
        name = "apiVersion" if folded == "apiversion" else folded
        if name not in words or pair.value.kind is JsonKind.NULL:
            continue
        if pair.value.kind is JsonKind.STRING:
            words[name] = pair.value.text
        else:
            fault = fault or f"{prefix} {pair.value.kind.value} into Go struct field .{name} of type string"
    if fault:
        raise KindFault(fault)
    return words


def check_known(name: TypeName, version: tuple[int, int]) -> None:
    """Raises KindFault for a kind that the scheme does not know, or knows and cannot make a policy of."""
    versions = {INTERNAL, *accepted_versions(version)}
    audit = name.group == GROUP and name.version in versions
    if audit and name.kind == "Policy":
        return
    core = not name.group and name.version in {V1, INTERNAL}
    internal = name.version == INTERNAL
    if (audit and name.kind in _AUDIT_KINDS) or name.kind in _UNVERSIONED_KINDS:
        package = "audit" if internal else name.version
        go_type = f"{V1 if name.kind in _UNVERSIONED_KINDS else package}.{name.kind}"
    elif (audit or core) and internal and name.kind == "WatchEvent":
        go_type = "v1.InternalEvent"
    elif (audit or core) and not internal and name.kind in _META_KINDS:
        go_type = f"v1.{name.kind}"
    else:
        raise KindFault(_unknown(name))
    raise KindFault(f"converting ({go_type}) to (audit.Policy): unknown conversion")


def _unknown(name: TypeName) -> str:
    if name.version == INTERNAL:
        where = f"the internal version of group {quote(name.group)}"
    else:
        where = f"version {quote(name.api_version)}"
    return f'no kind {quote(name.kind)} is registered for {where} in scheme "{_SCHEME}"'
