"""What the server's complaints mean to whoever wrote the policy: findings with places, and what to write instead.

Errors are what the server refuses, and fields that it drops. A key that is there twice is neither: the server loads
the policy, drops no field and counts the last one, so it is a warning, for ``policy validate`` and for ``enable`` alike
(both refuse it with ``--strict``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from auditctl.findings import Finding, Severity
from auditctl.policy.decode import Fault, Strictness, UnknownField
from auditctl.policy.goyaml.construct import Duplicate
from auditctl.policy.goyaml.faults import SyntaxFault
from auditctl.policy.goyaml.quoting import quote
from auditctl.policy.goyaml.values import JsonKind, Value
from auditctl.policy.type_meta import BETA_VERSIONS, GROUP
from auditctl.policy.types import Level, Stage
from auditctl.policy.validate import Complaint

_LONGEST_COMPARED = 40
_RULE_FIELDS = (
    "level",
    "users",
    "userGroups",
    "verbs",
    "namespaces",
    "nonResourceURLs",
    "omitStages",
    "omitManagedFields",
)
_ENTRY_FIELDS = ("group", "resourceNames")
# what people write for a field that has another name
_MISNOMERS = {
    "apiGroup": "group",
    "apiGroups": "group",
    "groups": "group",
    "resourceName": "resourceNames",
    "names": "resourceNames",
    "urls": "nonResourceURLs",
    "paths": "nonResourceURLs",
    "stages": "omitStages",
}


def syntax(fault: SyntaxFault, raw: bytes) -> Finding:
    """Return the finding for a text that is neither the YAML nor the JSON that the server reads."""
    fix, line, column = "", fault.line, fault.column
    if "UTF-8" in fault.text and "escaped" not in fault.text and line <= 1:
        # go-yaml decodes 512 bytes at a time and gives no place
        line, column = _first_bad_byte(raw)
        fix = "save the file as UTF-8; this byte belongs to another encoding (Latin-1?)"
    elif "cannot start any token" in fault.text or "tab" in fault.text:
        fix = "indent with spaces, not tabs; quote what begins with @, ` or %"
    elif "invalid map key" in fault.text:
        fix = "a template is left in the text, or `{...}` has to be quoted"
    elif "did not find expected key" in fault.text:
        fix = "look at the indentation of this line and the one before"
    return Finding(check="syntax", severity=Severity.ERROR, message=fault.text, fix=fix, line=line, column=column)


def _first_bad_byte(raw: bytes) -> tuple[int, int]:
    """Return line and column, from 1, of the first byte that is no UTF-8."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode()
        return before.count("\n") + 1, len(before) - before.rfind("\n")
    return 1, 1


def kind(error: str, value: Value, versions: tuple[str, ...]) -> Finding:
    """Return the finding for a text that is no audit policy of a version that the server knows."""
    fix = f"write `apiVersion: audit.k8s.io/{versions[0]}` and `kind: Policy`"
    if any(f'version "{GROUP}/{version}"' in error for version in BETA_VERSIONS):
        fix = "`auditctl policy convert FILE` prints it as v1"
    odd_kind = error.startswith("no kind") and not error.startswith('no kind "Policy"')
    wrong_kind = odd_kind or error.startswith("converting") or "field .kind" in error
    return _kind_finding(error, fix, _place_of(value, ("kind",) if wrong_kind else ("apiVersion",)))


def verdict(error: str, value: Value) -> Finding:
    """Return the finding about the policy as a whole: its version, or that it has no rules."""
    if error.startswith("loaded illegal policy"):
        return Finding(
            check="no-rules",
            severity=Severity.ERROR,
            message=error,
            fix="write at least one rule below `rules:`",
            path="rules",
            line=1,
            column=1,
        )
    fix = "write `apiVersion: audit.k8s.io/v1`"
    if value.kind is JsonKind.NULL:
        fix = "the file has no content but blanks and comments: write a policy into it"
    return _kind_finding(error, fix, _place_of(value, ("apiVersion",)))


class _FieldPlace(NamedTuple):
    path: str
    line: int
    column: int


def _kind_finding(error: str, fix: str, place: _FieldPlace) -> Finding:
    return Finding(
        check="kind",
        severity=Severity.ERROR,
        message=error,
        fix=fix,
        path=place.path,
        line=place.line,
        column=place.column,
    )


def _place_of(value: Value, names: tuple[str, ...]) -> _FieldPlace:
    """Return path, line and column of the first of the fields that is there, else of the whole."""
    for pair in value.pairs:
        if pair.key in names:
            return _FieldPlace(pair.key, pair.value.line, pair.value.column)
    return _FieldPlace(names[0], value.line, value.column)


def type_fault(fault: Fault) -> Finding:
    """Return the finding for a value of the wrong type."""
    fix = ""
    if "of type string" in fault.text or "of type v1." in fault.text:
        if "unmarshal number" in fault.text or "unmarshal bool" in fault.text:
            fix = "quote it: YAML takes it for a number or a boolean"
    elif "of type []" in fault.text:
        fix = "write a list: `- ` before each item, or `[...]`"
    elif "of type bool" in fault.text:
        fix = "write true or false, without quotes"
    return Finding(
        check="type",
        severity=Severity.ERROR,
        message=fault.text,
        fix=fix,
        path=fault.path,
        line=fault.line,
        column=fault.column,
    )


def duplicate(key: Duplicate) -> Finding:
    """Return the finding for a YAML key that is there twice."""
    message = f"{key}: the server keeps the last one and forgets the others"
    return Finding(
        check="duplicate-key",
        severity=Severity.WARNING,
        message=message,
        fix="join the two",
        line=key.line,
        column=key.column,
    )


def stray(field: UnknownField, *, with_meaning: bool) -> Finding:
    """Return a field that the server drops, or has twice. ``with_meaning``: look for what was meant (it costs time)."""
    if field.strictness is Strictness.DUPLICATE:
        message = f"{field}: the server decodes the second into the first"
        return Finding(
            check="duplicate-key",
            severity=Severity.WARNING,
            message=message,
            fix="join the two",
            path=field.path,
            line=field.line,
            column=field.column,
        )
    name = field.path.rpartition(".")[2]
    meant = _nearest(name, field.siblings) if with_meaning else ""
    fix = _other_level(field.path, name)
    if not fix:
        fix = f"did you mean `{meant}`?" if meant else "remove it, or spell it as the API does"
    return Finding(
        check="dropped-fields",
        severity=Severity.ERROR,
        message=f"{field}: the server drops it silently",
        fix=fix,
        path=field.path,
        line=field.line,
        column=field.column,
    )


def _other_level(path: str, name: str) -> str:
    """Return where a field of the API's belongs that is written at another level; empty for any other field.

    To remove it instead would widen the rule: without `verbs` it is for every verb.
    """
    depth = path.count(".")
    if depth == 2 and ".resources[" in path and name in _RULE_FIELDS:
        return f"write it one level up: `{name}` belongs beside `resources`, not in an entry of it"
    if depth == 1 and path.startswith("rules[") and name in _ENTRY_FIELDS:
        return f"write it one level down: `{name}` belongs in an entry of `resources`"
    if depth == 0 and name in _RULE_FIELDS:
        return f"write it in a rule: `{name}` belongs below `rules:`"
    return ""


def complaint(refusal: Complaint, places: Mapping[str, tuple[int, int]]) -> Finding:
    """Something that validation refuses. A missing field is told where its parent stands."""
    path = refusal.path
    while path and path not in places:
        path = path.rpartition(".")[0]
    line, column = places.get(path, (1, 1))
    message = refusal.text.partition(": ")[2]  # the path stands before it, and beside it in the finding
    return Finding(
        check="invalid",
        severity=Severity.ERROR,
        message=message,
        fix=_remedy(refusal),
        path=refusal.path,
        line=line,
        column=column,
    )


def _remedy(refusal: Complaint) -> str:
    field = refusal.path.rpartition(".")[2].partition("[")[0]
    if field == "level":
        meant = _nearest(refusal.value, [level.value for level in Level]) if refusal.value else ""
        return f"did you mean `{meant}`?" if meant else "write None, Metadata, Request or RequestResponse"
    if field == "omitStages":
        meant = _nearest(refusal.value, [stage.value for stage in Stage])
        return f"did you mean `{meant}`?" if meant else "write one of the four stages"
    if field == "group":
        return _group_remedy(refusal.value)
    if field == "resourceNames":
        return "name the resources too: `resources: [...]`"
    if "both regular" in refusal.text:
        return "make two rules of it"
    return f"write {quote('/' + refusal.value.lstrip('/').replace('*', ''))}" if refusal.value else "remove it"


def _group_remedy(group: str) -> str:
    if group == "*":
        return "`*` is known from 1.36 on; leave `resources` out to match every group"
    bare = group.partition("/")[0].lower()
    return f"write the group without a version: {quote(bare)}" if bare != group else "write an API group"


def _nearest(word: str, candidates: Iterable[str]) -> str:
    """Return the candidate that was probably meant, "" if none is near."""
    if len(word) > _LONGEST_COMPARED:
        return ""
    best, least = "", max(1, len(word) // 3) + 1
    for candidate in candidates:
        if _MISNOMERS.get(word) == candidate:
            return candidate
        distance = _distance(word.casefold(), candidate.casefold(), least)
        if distance < least:
            best, least = candidate, distance
    return best


def _distance(left: str, right: str, limit: int) -> int:
    """Return how many characters have to be changed, added or left out; ``limit`` if that many or more."""
    if abs(len(left) - len(right)) >= limit:
        return limit
    row = list(range(len(right) + 1))
    for index, character in enumerate(left, 1):
        above, row[0] = row[0], index
        for column, other in enumerate(right, 1):
            above, row[column] = row[column], min(above + (character != other), row[column] + 1, row[column - 1] + 1)
    return row[-1]
