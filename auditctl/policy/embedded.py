"""Find audit policies inside other files: a ConfigMap, machine configurations, variables of installers.

A policy stands there as a text (``data`` of a ConfigMap, ``files[].content`` of a KubeadmControlPlane, values of Helm,
kubespray's ``audit_policy_custom_rules``, which holds the rules alone) or as a mapping of the file itself (Talos'
``auditPolicy``). Each is handed out with as many line ends before it as it has lines before it in the outer file: all
line numbers that loading and linting name are then those of the outer file.
"""

from __future__ import annotations

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
MARKS = (GROUP.encode(), KUBESPRAY_RULES.encode())
"""A file without one of these holds no policy."""

# a policy wrapped in a `kind: List`, as kubectl writes it, is for nobody: the server refuses that file
_LIST_ITEM = lazily(r"items\[[0-9]+\]")
_MOST_VALUES = 200_000
_POLICY_TEXT = lazily(r"""(?m)^[ {]*["']?apiVersion["']?[ ]*:[ ]*["']?audit\.k8s\.io/""")
# the usual policy is recognised without being read twice
_ALONE = lazily(rb"(?m)^apiVersion:[ ]*audit\.k8s\.io/")
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


def embedded_policies(raw: bytes) -> tuple[EmbeddedPolicy, ...]:
    """Return the policies inside a file that is none itself, in their order; none for a policy, or for no YAML."""
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
        if value.kind is JsonKind.OBJECT:  # a list, or a text, is a policy gone wrong, and no file that holds one
            policies += _inside(value, lines)
    return tuple(sorted(policies, key=lambda each: each.line))


def _documents(raw: bytes) -> Iterator[bytes]:
    """Yield each document behind as many line ends as there are lines before it."""
    starts = [0, *(match.end() for match in _DOCUMENT_END.finditer(raw)), None]
    for start, end in pairwise(starts):
        text = raw[start:end] if end is None else raw[start : end - len(b"---")]
        if text.strip():
            yield b"\n" * raw.count(b"\n", 0, start) + text


def _inside(root: Value, lines: list[str]) -> Iterator[EmbeddedPolicy]:
    """Yield the policies below a value. By a list of what is to be done: a file may be nested deeper than Python calls.

    The bound is for aliases, which let a small file have a great many values.
    """
    waiting: list[tuple[Value, str]] = [(root, "")]
    for _ in range(_MOST_VALUES):
        if not waiting:
            return
        value, path = waiting.pop()
        if _is_policy(value) and not _LIST_ITEM.fullmatch(path):
            if policy := _mapping(value, path, lines):
                yield policy
        elif value.kind is JsonKind.STRING and _is_rules(value, path):
            yield _text(value, path, lines, rules_alone=True)
        elif value.kind is JsonKind.STRING and _POLICY_TEXT.search(value.text):
            yield _text(value, path, lines)
        waiting += (
            (pair.value, f"{path}.{pair.key}" if path else pair.key) for pair in value.pairs if not _is_policy(value)
        )
        waiting += ((item, f"{path}[{index}]") for index, item in enumerate(value.items))


def _is_rules(value: Value, path: str) -> bool:
    return path.rpartition(".")[2] == KUBESPRAY_RULES and bool(value.text.strip())


def _is_policy(value: Value) -> bool:
    words = {pair.key: pair.value.text for pair in value.pairs}
    return words.get("apiVersion", "").startswith(f"{GROUP}/") and words.get("kind", "Policy") == "Policy"


def _text(value: Value, path: str, lines: list[str], *, rules_alone: bool = False) -> EmbeddedPolicy:
    """Return a policy that is a string. Only of a literal block each line is a line of the outer file."""
    header = lines[value.line - 1][value.column - 1 :] if value.line <= len(lines) else ""
    indent = _literal_indent(value, lines) if header.startswith("|") else None
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
    """Return a policy that is a block mapping of the outer file itself; None for one in braces."""
    first = min(value.pairs, key=lambda pair: (pair.line, pair.column))
    indent = first.column - 1
    if "{" in lines[value.line - 1][: indent + 1]:
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
