"""Selectors that can never match, as plain values: each problem with the rule as it was surely meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from auditctl.policy.lint_checks import Known, PolicyMending, Problem
from auditctl.policy.types import GroupResources, Policy, PolicyRule

_VERBS = frozenset({"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "proxy", ""})
_METHODS = frozenset({"get", "head", "post", "put", "patch", "delete", "options", "connect", "trace"})
_NAMELESS = frozenset({"create", "deletecollection"})
SENT_AS = {
    "apply": "patch",
    "edit": "patch",
    "label": "patch",
    "annotate": "patch",
    "replace": "update",
    "describe": "get",
    "logs": "get",
    "exec": "create",
    "attach": "create",
    "port-forward": "create",
    "portforward": "create",
    "connect": "create",
    "read": "get",
    "write": "update",
    "post": "create",
    "put": "update",
    "remove": "delete",
}
_CORE = frozenset({"core", "v1", "api"})


def selector_problems(policy: Policy, known: Known) -> Iterator[Problem]:
    """Yield every value that no request has, with the policy mended in that place."""
    for index, rule in enumerate(policy.rules):
        for check, path, message, fix, mended in _of_rule(rule, known):
            yield Problem(
                check=check,
                path=f"rules[{index}]{path}",
                message=message,
                fix=fix,
                mending=PolicyMending.of_rule(index, mended),
            )


Complaint = tuple[str, str, str, str, PolicyRule]


def _of_rule(rule: PolicyRule, known: Known) -> Iterator[Complaint]:
    yield from _verbs(rule)
    yield from _patterns("users", rule.users, lambda values: replace(rule, users=values))
    yield from _patterns("userGroups", rule.user_groups, lambda values: replace(rule, user_groups=values))
    yield from _patterns("namespaces", rule.namespaces, lambda values: replace(rule, namespaces=values))
    for place, entry in enumerate(rule.resources):
        for check, path, message, fix, meant in _of_entry(entry, known):
            entries = (*rule.resources[:place], meant, *rule.resources[place + 1 :])
            yield check, f".resources[{place}]{path}", message, fix, replace(rule, resources=entries)
    yield from _names_on_create(rule)
    yield from _scope(rule, known)
    yield from _no_namespace(rule, known)


def _patterns(
    name: str, values: tuple[str, ...], with_values: Callable[[tuple[str, ...]], PolicyRule]
) -> Iterator[Complaint]:
    for place, value in enumerate(values):
        if "*" in value:
            mended = with_values(() if value == "*" else (*values, value.replace("*", "")))
            fix = f"leave `{name}` out for all" if value == "*" else "name each"
            yield "pattern-never-matches", f".{name}[{place}]", f"{value!r} is compared as it is", fix, mended


def _verbs(rule: PolicyRule) -> Iterator[Complaint]:
    sent = _METHODS if rule.non_resource_urls else _VERBS if rule.resources or rule.namespaces else _VERBS | _METHODS
    for place, verb in enumerate(rule.verbs):
        if verb in sent:
            continue
        meant = verb.lower() if verb.lower() in sent else SENT_AS.get(verb.lower(), "")
        verbs: tuple[str, ...]
        if verb == "*":
            message, fix, verbs = "'*' is no pattern here", "leave `verbs` out for all", ()
        else:
            message = f"no request has the verb {verb!r}"
            known = bool(meant) and meant in sent
            fix = f"write {meant}" if known else "remove it: the API's verbs are get, list, watch, create, update, ..."
            verbs = (*rule.verbs, meant) if known else tuple(word for word in rule.verbs if word in sent)
        yield "verb-never-sent", f".verbs[{place}]", message, fix, replace(rule, verbs=verbs)


def _of_entry(entry: GroupResources, known: Known) -> Iterator[tuple[str, str, str, str, GroupResources]]:
    if entry.group in _CORE:
        message = f"there is no API group {entry.group!r}"
        yield "wrong-group", ".group", message, 'the core group is ""', entry._replace(group="")
        return
    whole = _whole_group(entry.group, known)
    if whole:
        message = f"there is no API group {entry.group!r}"
        yield "wrong-group", ".group", message, f"write {whole}", entry._replace(group=whole)
        return
    for place, pattern in enumerate(entry.resources):
        meant = _meant(pattern, entry.group, known)
        if meant is None:
            continue
        check, group, resource, message = meant
        path = f".resources[{place}]"
        mended = GroupResources(
            group, (*(entry.resources if group == entry.group else ()), resource), entry.resource_names
        )
        where = f"{resource!r}" if group == entry.group else f"{resource!r} in group {group!r}"
        yield check, path, message, f"write {where}", mended


def _whole_group(group: str, known: Known) -> str:
    """Return the built-in group that ``group`` is short for (``rbac``, ``rbac.k8s.io``); "" if it is none, or is one."""
    groups = {each.group for each in (*known.resources, *known.preview)} | known.gone
    first, _, rest = group.partition(".")
    if not group or group in groups or rest not in {"", "k8s.io"}:
        return ""
    whole = [each for each in groups if each.startswith(f"{first}.")]
    return whole[0] if len(whole) == 1 else ""


def _meant(pattern: str, group: str, known: Known) -> tuple[str, str, str, str] | None:
    """Return check, group, resource as meant, and what is wrong with it; None if nothing is."""
    resource, _, subresource = pattern.partition("/")
    never = "resource-never-matches"
    if pattern == "*/*":
        return never, group, "*", "'*/*' matches nothing: `*` alone is everything"
    if pattern == "":
        return never, group, "*", "'' matches nothing"
    if resource != "*" and "*" in resource:
        return never, group, "*", f"{pattern!r} is compared as it is: a `*` stands for a whole part only"
    dotted, dot, of_group = resource.partition(".")
    if dot and dotted in known.by_name:
        return never, of_group, f"{dotted}/{subresource}".rstrip("/"), f"{pattern!r}: the group has a field of its own"
    word = resource.lower()
    row = known.by_word.get(word) if word not in known.by_name else known.by_name[word][0]
    if row and resource != row.name and (group in {row.group, "*", ""} or word == row.kind.lower()):
        meant = f"{row.name}/{subresource}".rstrip("/")
        return never, row.group, meant, f"{pattern!r} is no resource: the API calls it {row.name!r}"
    rows = known.by_name.get(resource, ())
    served = {each.group for each in rows}
    builtin = group in known.gone or any(each.group == group for of in known.by_name.values() for each in of)
    if rows and builtin and group not in served:
        return "wrong-group", rows[0].group, pattern, f"{pattern!r} is not served by the group {group!r}"
    return None


def _names_on_create(rule: PolicyRule) -> Iterator[Complaint]:
    for place, entry in enumerate(rule.resources):
        whole = [name for name in entry.resources if "/" not in name]
        if entry.resource_names and whole and rule.verbs and _NAMELESS.issuperset(rule.verbs):
            entries = (*rule.resources[:place], entry._replace(resource_names=()), *rule.resources[place + 1 :])
            message = f"a {' or '.join(rule.verbs)} of {', '.join(whole)} has no name yet"
            yield (
                "names-on-create",
                f".resources[{place}].resourceNames",
                message,
                "leave resourceNames out",
                replace(rule, resources=entries),
            )


def _scope(rule: PolicyRule, known: Known) -> Iterator[Complaint]:
    if not rule.namespaces or "" in rule.namespaces:
        return
    scoped = known.cluster_scoped - {("", "namespaces")}
    for place, entry in enumerate(rule.resources):
        names = [name.partition("/")[0] for name in entry.resources]
        cluster_scoped = [name for name in names if (entry.group, name) in scoped]
        if cluster_scoped:
            message = f"{', '.join(dict.fromkeys(cluster_scoped))} are in no namespace, so {', '.join(rule.namespaces)} never matches"
            mended = replace(rule, namespaces=(*rule.namespaces, ""))
            fix = 'make a rule of its own for them, without namespaces or with [""]'
            yield "namespace-of-cluster-scoped", f".resources[{place}].resources", message, fix, mended


def _no_namespace(rule: PolicyRule, known: Known) -> Iterator[Complaint]:
    """Yield ``namespaces: [""]`` alone, where not all that the rule names is without a namespace anyway."""
    if not rule.namespaces or any(rule.namespaces):
        return
    parts = [(entry.group, name.partition("/")[0]) for entry in rule.resources for name in entry.resources or ("*",)]
    inside = [name for group, name in parts if (group, name) not in known.cluster_scoped]
    if not parts or inside:
        named = f"of {', '.join(dict.fromkeys(inside))} " if parts and "*" not in inside else ""
        message = f'[""] alone leaves {named}only what is in no namespace, and lists across all of them'
        fix = "leave `namespaces` out if what is in namespaces is meant too"
        yield "only-no-namespace", ".namespaces", message, fix, replace(rule, namespaces=())
