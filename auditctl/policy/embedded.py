"""Find audit policies inside other files: a ConfigMap, machine configurations, variables of installers.

A policy stands there as a text (``data`` of a ConfigMap, ``files[].content`` of a KubeadmControlPlane, values of Helm,
kubespray's ``audit_policy_custom_rules``, which holds the rules alone), as a text in a text (values of Helm in an
Application), in base64 (a Secret), or as a mapping of the file itself (Talos' ``auditPolicy``). Each is handed out with as many line ends before it as it has lines before it in the outer file: all
line numbers that loading and linting name are then those of the outer file.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from auditctl.findings import Finding
from auditctl.patterns import lazily
from auditctl.policy.goyaml.construct import read_yaml
from auditctl.policy.goyaml.faults import SyntaxFault
from auditctl.policy.goyaml.values import JsonKind, Value
from auditctl.policy.type_meta import GROUP

KUBESPRAY_RULES = "audit_policy_custom_rules"
"""Of kubespray's variables: the text below ``rules:`` (`roles/kubernetes/control-plane/templates/apiserver-audit-policy.yaml.j2`)."""
# the group as it stands in base64: a group of three bytes begins at its first, second or third letter
_IN_BASE64 = tuple(base64.b64encode(GROUP.encode()[skipped : skipped + 9]) for skipped in range(3))
MARKS = (GROUP.encode(), KUBESPRAY_RULES.encode(), *_IN_BASE64)
"""A file without one of these holds no policy."""

# a policy wrapped in a `kind: List`, as kubectl writes it, or in a list, is for nobody: the server refuses that file
_LIST_ITEM = lazily(r"(items)?\[[0-9]+\]")
_MOST_VALUES = 200_000
_MOST_TEXTS_IN_TEXTS = 3
_POLICY_TEXT = lazily(r"""(?m)^[ {]*["']?apiVersion["']?[ ]*:[ ]*["']?audit\.k8s\.io/""")
# the usual policy is recognised without being read twice
_ALONE = lazily(rb"(?m)^apiVersion:[ ]*audit\.k8s\.io/")
_BASE64 = lazily(r"[A-Za-z0-9+/\s]{40,}={0,2}\s*")
# what may stand before the `|` of a literal block
_PROPERTIES = lazily(r"([!&]\S*[ ]+)*")
_DOCUMENT_END = lazily(rb"(?m)^---(?=[ \t\r\n]|\Z)")


class EmbeddedPolicy(NamedTuple):
    """A policy inside another file.

    ``path`` is where (``data.policy.yaml``), ``line`` and ``column`` where its value begins. ``raw`` is the policy as
    the server would get it, behind empty lines. ``indent`` is what its columns lack; None: its lines are not those of
    the outer file (an escaped or folded text), so that every finding is at the value's own place.
    """

    path: str
    raw: bytes
    line: int
    column: int
    indent: int | None

    def placed(self, finding: Finding) -> Finding:
        """Return a finding of ``raw`` with its place in the outer file."""
        path = f"{self.path}: {finding.path}" if finding.path else self.path
        if self.indent is None or not finding.line:
            return replace(finding, path=path, line=self.line, column=self.column)
        return replace(finding, path=path, column=finding.column + self.indent if finding.column else 0)

    def around(self, inner: EmbeddedPolicy) -> EmbeddedPolicy:
        """Return a policy inside of this text with its place in the outer file."""
        path = f"{self.path}.{inner.path}"
        if self.indent is None:
            return inner._replace(path=path, line=self.line, column=self.column, indent=None)
        indent = None if inner.indent is None else inner.indent + self.indent
        return inner._replace(path=path, column=inner.column + self.indent, indent=indent)


def embedded_policies(raw: bytes) -> tuple[EmbeddedPolicy, ...]:
    """Return the policies inside a file that is none itself, in their order; none for a policy, or for no YAML."""
    return _policies(raw, 0)


def _policies(raw: bytes, depth: int) -> tuple[EmbeddedPolicy, ...]:
    if not any(mark in raw for mark in MARKS) or (b"\n---" not in raw and _ALONE.search(raw)):
        return ()
    lines = raw.decode("utf-8", "replace").splitlines()
    policies: list[EmbeddedPolicy] = []
    for index, document in enumerate(_documents(raw)):
        try:
            value = read_yaml(document).value
        except SyntaxFault:  # a template, or a file that is not for us to judge
            continue
        if _is_policy(value) and index == 0:
            return ()
        policies += _inside(value, f"document {index + 1}" if _is_policy(value) else "", lines, depth)
    return tuple(sorted(policies, key=lambda each: each.line))


def _documents(raw: bytes) -> Iterator[bytes]:
    """Yield each document behind as many line ends as there are lines before it."""
    starts = [0, *(match.end() for match in _DOCUMENT_END.finditer(raw)), None]
    for start, end in pairwise(starts):
        text = raw[start:end] if end is None else raw[start : end - len(b"---")]
        if text.strip():
            yield b"\n" * raw.count(b"\n", 0, start) + text


def _inside(root: Value, root_path: str, lines: list[str], depth: int) -> Iterator[EmbeddedPolicy]:
    """Yield the policies below a value. By a list of what is to be done: a file may be nested deeper than Python calls.

    The bound is for aliases, which let a small file have a great many values.
    """
    waiting: list[tuple[Value, str]] = [(root, root_path)]
    for _ in range(_MOST_VALUES):
        if not waiting:
            return
        value, path = waiting.pop()
        if _is_policy(value) and not _LIST_ITEM.fullmatch(path):
            if policy := _mapping(value, path, lines):
                yield policy
        elif value.kind is JsonKind.STRING and path:
            yield from _of_text(value, path, lines, depth)
        waiting += (
            (pair.value, f"{path}.{pair.key}" if path else pair.key) for pair in value.pairs if not _is_policy(value)
        )
        waiting += ((item, f"{path}[{index}]") for index, item in enumerate(value.items))


def _of_text(value: Value, path: str, lines: list[str], depth: int) -> Iterator[EmbeddedPolicy]:
    """Yield the policies of a string: itself, or those in it where it is such a file, too."""
    if _is_rules(value, path):
        yield _text(value, path, lines, rules_alone=True)
        return
    decoded = _decoded(value.text)
    if not _POLICY_TEXT.search(decoded or value.text):
        return
    if decoded:
        outer = EmbeddedPolicy(path, decoded.encode(), value.line, value.column, None)
    else:
        outer = _text(value, path, lines)
    inside = _policies(outer.raw, depth + 1) if depth < _MOST_TEXTS_IN_TEXTS else ()
    yield from (outer.around(each) for each in inside)
    if not inside:
        yield outer


def _decoded(text: str) -> str:
    """Return what a text in base64 says; empty for another text."""
    if not any(mark.decode() in text for mark in _IN_BASE64) or not _BASE64.fullmatch(text):
        return ""
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _is_rules(value: Value, path: str) -> bool:
    return path.rpartition(".")[2] == KUBESPRAY_RULES and bool(value.text.strip())


def _is_policy(value: Value) -> bool:
    words = {pair.key: pair.value.text for pair in value.pairs}
    return words.get("apiVersion", "").startswith(f"{GROUP}/") and words.get("kind", "Policy") == "Policy"


def _text(value: Value, path: str, lines: list[str], *, rules_alone: bool = False) -> EmbeddedPolicy:
    """Return a policy that is a string. Only of a literal block each line is a line of the outer file."""
    header = lines[value.line - 1][value.column - 1 :] if value.line <= len(lines) else ""
    behind = _PROPERTIES.sub("", header, count=1)
    indent = _literal_indent(value, lines) if behind.startswith("|") else None
    before = value.line if indent is not None else 1
    if rules_alone:
        text = "\n" * (before - 1) + f"rules:\n{value.text.rstrip()}\napiVersion: {GROUP}/v1\nkind: Policy\n"
    else:
        text = "\n" * (before if indent is not None else 0) + value.text
    return EmbeddedPolicy(path, text.encode("utf-8", "surrogateescape"), value.line, value.column, indent)


def _literal_indent(value: Value, lines: list[str]) -> int | None:
    """Return how far a literal block is indented; None where its lines cannot be recognised in the outer file."""
    for number, line in enumerate(value.text.split("\n")):
        if line.strip():
            outer = lines[value.line + number] if value.line + number < len(lines) else ""
            return len(outer) - len(line) if outer.endswith(line) else None
    return None


def _mapping(value: Value, path: str, lines: list[str]) -> EmbeddedPolicy | None:
    """Return a policy that is a mapping of the outer file itself; of one in braces the lines are not kept.

    None for one that is nested deeper than Python calls, or that aliases make large: it is no policy.
    """
    first = min(value.pairs, key=lambda pair: (pair.line, pair.column))
    indent = first.column - 1
    if "{" in lines[value.line - 1][: indent + 1]:
        if not _is_small(value):
            return None
        try:
            return EmbeddedPolicy(path, json.dumps(_plain(value)).encode(), value.line, value.column, None)
        except (RecursionError, ValueError):
            return None
    inner = [lines[first.line - 1][indent:]]
    for line in lines[first.line :]:
        if len(line) - len(line.lstrip(" ")) >= indent:
            inner.append(line[indent:])
        elif line.strip() and not line.lstrip().startswith("#"):
            break
        else:  # a blank line or a comment further to the left: it ends nothing
            inner.append("")
    raw = "\n" * (first.line - 1) + "\n".join(inner) + "\n"
    return EmbeddedPolicy(path, raw.encode("utf-8", "surrogateescape"), first.line, first.column, indent)


def _is_small(value: Value) -> bool:
    waiting = [value]
    for _ in range(_MOST_VALUES):
        if not waiting:
            return True
        each = waiting.pop()
        waiting += (*each.items, *(pair.value for pair in each.pairs))
    return False


def _plain(value: Value) -> object:
    """Return a value as Python's json writes it."""
    if value.kind is JsonKind.OBJECT:
        return {pair.key: _plain(pair.value) for pair in value.pairs}
    if value.kind is JsonKind.ARRAY:
        return [_plain(item) for item in value.items]
    return value.text if value.kind is JsonKind.STRING else json.loads(value.text or "null")
