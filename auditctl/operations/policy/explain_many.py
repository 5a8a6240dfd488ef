"""``policy explain --requests``: one decision a line, as the lines come, whatever their number.

The rows are put together as text: a dictionary and ``json.dumps`` for each would take longer than to decide.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, BinaryIO

from auditctl.errors import RefusedError, UsageError
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy.explain import decision_row, notes
from auditctl.operations.policy_files import opened, read_policy, server_version
from auditctl.policy.compiled import Compiled
from auditctl.printable import printable

_ROWS_AT_ONCE = 1000
_LONGEST_LINE_BYTES = 1 << 20  # a client's request has at most 8 kB of URL
_SHAPE = 'a line is {"user": ..., "groups": [...], "method": ..., "url": ...}'
_READ = json.JSONDecoder().raw_decode
_ERRORS = (ValueError, RecursionError)


def explain_many(plane: ControlPlane, file: str, requests: str, kubernetes: str | None, output: str) -> CommandResult:
    """Return a decision for each line of ``requests``, in the asked format.

    Raises:
        PolicyError: the server would refuse the policy; RefusedError: a file cannot be read (also while it is read).
    """
    if file == requests == "-":
        raise UsageError("policy and requests cannot both come from standard input")
    named = read_policy(file, server_version(plane, kubernetes))
    compiled = Compiled(named.policy)
    lines = _lines(opened(requests, "requests"))  # at once: a missing file is told before anything is printed
    places = [f"{named.name}:{rule.line}" for rule in named.policy.rules]
    match output:
        case "json":
            chunks = _as_json(decisions(compiled, lines))
        case "yaml":
            chunks = _as_yaml(decisions(compiled, lines))
        case _:
            chunks = (printable(text, keep_newlines=True) for text in _as_text(compiled, lines, places))
    pieces = (f"{chunk}\n".encode() for chunk in chunks)
    return CommandResult(document={}, notes=notes(named), pieces=pieces)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines; of one that is longer than the limit the beginning, which is no JSON: what is read may have no end."""
    with file:
        while line := file.readline(_LONGEST_LINE_BYTES):
            yield line
            while len(line) == _LONGEST_LINE_BYTES and not line.endswith(b"\n"):
                line = file.readline(_LONGEST_LINE_BYTES)


def decisions(compiled: Compiled, lines: Iterable[bytes]) -> Iterator[str]:
    """Yield a JSON object for each line that is not blank: the decision with its attributes, or ``{"error": ...}``."""
    heads = tuple(
        json.dumps(decision_row(decision))[:-1] + ', "attributes": {"isResourceRequest": '
        for decision in compiled.decisions
    )
    ask = compiled.request
    for line in lines:
        if line.isspace():
            continue
        try:
            method, url, user, groups = _read(line)
            rule, (on_resource, verb, group, version, namespace, resource, subresource, name, path) = ask(
                method, url, user, groups
            )
        except (RefusedError, TypeError) as error:
            yield json.dumps({"error": error.message if isinstance(error, RefusedError) else _SHAPE})
            continue
        yield (
            f'{heads[rule]}{"true" if on_resource else "false"}, "verb": {quoted(verb)}, "apiGroup": {quoted(group)}, '
            f'"apiVersion": {quoted(version)}, "namespace": {quoted(namespace)}, "resource": {quoted(resource)}, '
            f'"subresource": {quoted(subresource)}, "name": {quoted(name)}, "path": {quoted(path)}}}}}'
        )


def _read(line: bytes) -> tuple[str, str, str | None, list[str]]:
    """Method, URL, user and groups of a line. No user, or null: authentication failed."""
    try:
        text = line.decode().strip()
        row, end = _READ(text)
    except _ERRORS as error:
        raise RefusedError(f"no JSON: {_SHAPE}") from error
    if end != len(text) or type(row) is not dict:
        raise RefusedError(_SHAPE)
    method, url, user, groups = row.get("method"), row.get("url"), row.get("user"), row.get("groups") or []
    if (
        type(method) is not str
        or type(url) is not str
        or not (user is None or type(user) is str)
        or type(groups) is not list
    ):
        raise RefusedError(_SHAPE)
    return method, url, user, groups


def _pieces(rows: Iterator[str], between: str) -> Iterator[str]:
    while piece := between.join(islice(rows, _ROWS_AT_ONCE)):
        yield piece


def _as_json(rows: Iterator[str]) -> Iterator[str]:
    first = True
    for piece in _pieces(rows, ",\n"):
        yield ('{"decisions": [\n' if first else ",") + piece
        first = False
    yield '{"decisions": []}' if first else "]}"


def _as_yaml(rows: Iterator[str]) -> Iterator[str]:
    """Yield the rows as YAML: a JSON object is a YAML flow mapping."""
    first = True
    for piece in _pieces(rows, "\n- "):
        yield ("decisions:\n- " if first else "- ") + piece
        first = False
    if first:
        yield "decisions: []"


def _as_text(compiled: Compiled, lines: Iterator[bytes], places: list[str]) -> Iterator[str]:
    yield from _pieces((_sentence(compiled, line, places) for line in lines if not line.isspace()), "\n")


def _sentence(compiled: Compiled, line: bytes, places: list[str]) -> str:
    try:
        method, url, user, groups = _read(line)
        rule, _ = compiled.request(method, url, user, groups)
    except (RefusedError, TypeError) as error:
        return f"{'error':15}  {error.message if isinstance(error, RefusedError) else _SHAPE}"
    level: Any = compiled.decisions[rule].level.value
    by = f"rules[{rule}] {places[rule]}" if rule >= 0 else "no rule"
    return f"{level:15}  {by:24}  {method} {url} by {user or 'nobody'}"
