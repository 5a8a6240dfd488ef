"""The names of all checks, read from the source of the package: what users see in brackets and may give to `--allow`."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from examples import TOP

PACKAGE = TOP / "auditctl"
NAME = re.compile(r"[a-z]+[0-9]*(-[a-z0-9]+)*")
# Records whose field is a check's name, and the field's position.
RECORDS = {"Finding": 0, "Check": 0, "LintCheck": 0, "Problem": 0, "Diagnosis": 1}
PARAMETERS = ("check",)


def constants(node: ast.expr, named: dict[str, str]) -> Iterator[str]:
    """Yield the texts that an expression may have: a constant, a name of one, or either side of a condition."""
    match node:
        case ast.Constant(value=str() as text):
            yield text
        case ast.Name(id=name) if name in named:
            yield named[name]
        case ast.IfExp(body=body, orelse=orelse):
            yield from constants(body, named)
            yield from constants(orelse, named)


def positions(tree: ast.Module) -> dict[str, int]:
    """Return the module's functions with a parameter that is a check's name, and its position."""
    found = dict(RECORDS)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names = [argument.arg for argument in node.args.args if argument.arg not in ("self", "cls")]
            found.update((node.name, names.index(name)) for name in PARAMETERS if name in names)
    return found


def in_call(node: ast.Call, known: dict[str, int], named: dict[str, str]) -> Iterator[str]:
    """Yield the names that a call gives to a known parameter."""
    called = node.func.body if isinstance(node.func, ast.IfExp) else node.func  # (_error if is_new else _warning)(...)
    function = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
    if isinstance(called, ast.Attribute) and getattr(called.value, "id", "") in RECORDS:  # Finding.error(...)
        function = ast.unparse(called.value)
    position = known.get(function)
    if position is not None and len(node.args) > position:
        yield from constants(node.args[position], named)
    for keyword in node.keywords:
        if keyword.arg in PARAMETERS or (keyword.arg == "name" and function in RECORDS):
            yield from constants(keyword.value, named)


def in_module(path: Path) -> Iterator[str]:
    """Yield each name that the module gives to a check."""
    tree = ast.parse(path.read_text())
    known = positions(tree)
    named = {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from in_call(node, known, named)
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in PARAMETERS:
            yield from constants(node.value, named)


def crash_names() -> set[str]:
    """Return the names of the known words of kube-apiserver and the kubelet."""
    return {row["name"] for row in json.loads((TOP / "templates/crashes.json").read_text())}


@cache
def check_names() -> frozenset[str]:
    """Return every name of a check."""
    found = {name for path in PACKAGE.rglob("*.py") for name in in_module(path)}
    return frozenset(name for name in found if NAME.fullmatch(name)) | crash_names()
