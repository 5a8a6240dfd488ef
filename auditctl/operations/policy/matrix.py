"""``policy matrix``: the picture of a policy for the terminal, as an object, and as a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from auditctl import facts
from auditctl.errors import UsageError
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.page_file import write_page
from auditctl.operations.policy.explain import notes
from auditctl.operations.policy.request_context import request_context
from auditctl.operations.policy_files import (
    LoadedPolicyFile,
    PolicyText,
    Version,
    built_in,
    numbers,
    read,
    server_version,
    understood,
)
from auditctl.policy.matrix import Case, Cell, Cells, Matrix, Person, matrix
from auditctl.policy.matrix_html import Page, page
from auditctl.policy.matrix_lines import extents
from auditctl.policy.matrix_rows import METHODS, VERBS, BuiltInApi, Row, Sensitive, Subresource
from auditctl.policy.people import MEMBER, named_people
from auditctl.policy.shorthand import DEFAULT_USER, usual_groups
from auditctl.policy.types import Policy, User

_STANDARD_OUTPUT = "-"
_ACCOUNT = "system:serviceaccount:default:default"
_SUPER_ADMIN = "kubernetes-super-admin"
_MOST_NAMED = 8
_PEOPLE = {
    "admin": DEFAULT_USER,
    "super-admin": User(_SUPER_ADMIN, usual_groups(_SUPER_ADMIN)),
    "node": User("system:node:worker", usual_groups("system:node:worker")),
    "service-account": User(_ACCOUNT, usual_groups(_ACCOUNT)),
    "anonymous": User("system:anonymous", usual_groups("system:anonymous")),
    "nobody": None,
}
USUAL = ("admin", "node", "service-account", "anonymous")


class Drawn(NamedTuple):
    """The picture with what is needed to tell it: the policy's name, its server, and the lines of each rule."""

    named: LoadedPolicyFile
    version: Version
    matrix: Matrix
    text: PolicyText
    lines: tuple[tuple[int, int], ...]

    def document(self) -> dict[str, Any]:
        """Return the whole of it as JSON."""
        rules = self.named.policy.rules
        rows, tables = self.matrix.rows, self.matrix.tables
        return {
            "file": self.named.name,
            "kubernetes": f"{self.version[0]}.{self.version[1]}",
            "rules": [
                {"rule": index, "level": rule.level.value, "lines": list(self.lines[index])}
                for index, rule in enumerate(rules)
            ],
            "tables": [
                {
                    "users": [_person(person) for person in table.people],
                    "resources": [
                        {**_resource(row), "cells": _cells(VERBS, cells)}
                        for row, cells in zip(rows.resources, table.resources, strict=True)
                    ],
                    "nonResourceURLs": [
                        {"path": row.label, "cells": _cells(METHODS, cells)}
                        for row, cells in zip(rows.urls, table.urls, strict=True)
                    ],
                }
                for table in tables
            ],
            "otherUsersAndGroups": list(self.matrix.others),
            "rowsLeftOut": rows.left_out,
        }


def draw(plane: ControlPlane, file: str, people: tuple[str, ...], kubernetes: str | None) -> Drawn:
    """Return the picture of a policy for the given people, else for the usual ones and those whom its rules name.

    Raises:
        PolicyError: the server would refuse the policy; RefusedError: it cannot be read.
        UsageError: one of the people is no user.
    """
    version = server_version(plane, kubernetes)
    admin = request_context(plane, kubernetes, version=version).administrator
    text = read(file)
    named = understood(text, version)
    shown = [person_of(words, admin) for words in people or USUAL]
    shown += () if people else _named_in(named.policy)
    chosen = tuple(dict.fromkeys(shown))
    return Drawn(
        named, version, matrix(named.policy, chosen, api(version), version), text, extents(text.raw, named.policy)
    )


def answer(drawn: Drawn, out: str | None, lines: tuple[str, ...] = ()) -> CommandResult:
    """What is printed: ``lines`` for a person, or where the page was put. Raises RefusedError: it cannot be put there."""
    document = drawn.document()
    if out is None:
        return CommandResult(document=document, lines=lines, notes=notes(drawn.named), styled=True)
    text = html(drawn)
    if out == _STANDARD_OUTPUT:
        return CommandResult(
            document={**document, "html": text}, lines=(text.removesuffix("\n"),), notes=notes(drawn.named)
        )
    write_page(out, text, "policy.html")
    return CommandResult(
        document={**document, "html": out},
        lines=(f"Wrote {out}.",),
        notes=notes(drawn.named),
    )


def html(drawn: Drawn) -> str:
    """Return the page."""
    shell, script = (facts.template(f"matrix.{kind}").read_text(encoding="utf-8") for kind in ("html", "js"))
    server = f"kube-apiserver {drawn.version[0]}.{drawn.version[1]}"
    return page(
        Page(
            name=drawn.named.name,
            server=server,
            raw=drawn.text.raw,
            policy=drawn.named.policy,
            matrix=drawn.matrix,
            lines=drawn.lines,
        ),
        shell,
        script,
    )


def _named_in(policy: Policy) -> Iterator[Person]:
    """Yield whom the rules name; a member of a group is labelled with the group."""
    for user in named_people(policy.rules)[:_MOST_NAMED]:
        yield Person(f"of {user.groups[0]}" if user.name == MEMBER else user.name, user)


def person_of(words: str, admin: User = DEFAULT_USER) -> Person:
    """``admin``, ``node``, ``service-account``, ``anonymous``, ``nobody`` (a 401), or ``USER [of GROUP...]``."""
    if words in _PEOPLE:
        return Person(words, admin if words == "admin" else _PEOPLE[words])
    name, *rest = words.split() or [""]
    if not name or (rest and (rest[0] != "of" or len(rest) == 1)):
        fix = f"write USER [of GROUP...], or one of {', '.join(_PEOPLE)}"
        raise UsageError(f"--user {words!r}: nobody is named so", fix=fix)
    return Person(name, User(name, tuple(rest[1:]) if rest else usual_groups(name)))


@cache
def api(version: Version) -> BuiltInApi:
    """Return what is known of the built-in API of that version."""
    table = json.loads(facts.template("matrix.json").read_text(encoding="utf-8"))
    return BuiltInApi(
        built_in(version),
        {(row["group"], row["resource"]): tuple(row["verbs"]) for row in table["offers"]},
        tuple(
            Subresource(row["group"], row["resource"], row["subresource"], tuple(row["verbs"]), numbers(row["since"]))
            for row in table["subresources"]
        ),
        {
            (row["group"], row["resource"], row["subresource"]): Sensitive(
                row["why"], tuple(row["verbs"]), row["unseen"], row["body"]
            )
            for row in table["sensitive"]
        },
        tuple(table["urls"]),
    )


def _person(person: Person) -> dict[str, Any]:
    user = person.user
    return {
        "label": person.label,
        "user": user.name if user else None,
        "groups": list(user.groups) if user else [],
    }


def _resource(row: Row) -> dict[str, Any]:
    return {
        "resource": row.label,
        "scope": row.scope.value,
        "namedByPolicy": row.named_by_policy,
    }


def _cells(verbs: tuple[str, ...], cells: Cells) -> dict[str, Any]:
    return {verb: _cell(cell) for verb, cell in zip(verbs, cells, strict=True) if cell}


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "levels": [level.value for level in cell.levels],
        "depends": cell.depends,
        "cases": [_case(case) for case in cell.cases],
        "complete": not cell.cut,
        "sensitive": cell.why or None,
        "concern": cell.concern.value if cell.concern else None,
    }


def _case(case: Case) -> dict[str, Any]:
    return {
        "level": case.level.value,
        "rule": case.rule,
        "namespaces": None if case.namespaces is None else list(case.namespaces),
        "names": None if case.names is None else list(case.names),
    }
