"""Located nodes to plain Python values, by the rules of the kubelet's reader (``sigs.k8s.io/yaml``: goyaml.v2)."""

from __future__ import annotations

from auditctl.errors import ManifestError, Place
from auditctl.manifest.lines import TextLines
from auditctl.manifest.yaml_nodes import Alias, Mapping, Node, Scalar, Sequence, Style
from auditctl.patterns import lazily

MAX_DEPTH = 100  # a Pod nests about ten deep
MAX_VALUES = 100_000  # an alias can stand for an alias for an alias: a text of a kilobyte must not fill the memory
PREFIX = "tag:yaml.org,2002:"
MERGE = "<<"
KINDS: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,), "null": (type(None),)}

# goyaml.v2 resolve.go: YAML 1.1, without sexagesimal numbers; timestamps stay strings on the way to JSON
NULL = frozenset({"", "~", "null", "Null", "NULL"})
TRUE = frozenset({"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})
FALSE = frozenset({"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})
INTEGER = lazily(r"[-+]?(?:0b[01][01_]*|0o[0-7][0-7_]*|0[0-7_]*|0x[0-9a-fA-F][0-9a-fA-F_]*|[1-9][0-9_]*)")
FLOAT = lazily(r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?")
INFINITY = lazily(r"[-+]?\.(?:inf|Inf|INF)")
MAX_DIGITS = 300  # longer ones stay strings: no field of a Pod holds them, and Python refuses to convert them


def value_of(root: Node, text: str, name: str) -> object:
    """Return ``root`` as dict, list, str, int, float, bool or None. Keys are strings, as in JSON; merges are done.

    Raises ManifestError, with its place, for a key that is there twice, a key that is no scalar, and an alias bomb.
    """
    return _Construction(text, name).value(root)


def plain_value(text: str) -> object:
    """Return what an unquoted, untagged scalar means."""
    if text in NULL:
        return None
    if text in TRUE or text in FALSE:
        return text in TRUE
    if len(text) > MAX_DIGITS:
        return text
    if INTEGER.fullmatch(text):
        return _integer(text)
    if FLOAT.fullmatch(text):
        return float(text.replace("_", ""))
    return float(text.replace(".", "")) if INFINITY.fullmatch(text) else text


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    sign, digits = (-1, digits[1:]) if digits[0] == "-" else (1, digits.lstrip("+"))
    for prefix, base in (("0b", 2), ("0x", 16), ("0o", 8)):
        if digits.startswith(prefix):
            return sign * int(digits[2:], base)
    return sign * int(digits, 8 if len(digits) > 1 and digits[0] == "0" else 10)


class _Construction:
    def __init__(self, text: str, name: str) -> None:
        self.text, self.name, self.count = text, name, 0

    def value(self, node: Node, depth: int = 0) -> object:
        self.count += 1
        if self.count > MAX_VALUES or depth > MAX_DEPTH:
            raise self._error(f"more than {MAX_VALUES} values, or nested deeper than {MAX_DEPTH} (by aliases?)", node)
        match node:
            case Alias(target=target):
                return self.value(target, depth + 1)
            case Sequence(items=items):
                return [self.value(item, depth + 1) for item in items]
            case Mapping():
                return self._mapping(node, depth)
            case Scalar():
                return self._scalar(node)
            case _:
                raise self._error("a node of no known kind", node)

    def _scalar(self, node: Scalar) -> object:
        kind = node.tag.removeprefix(PREFIX)
        if node.style is not Style.PLAIN or node.tag:
            return self._tagged(node, kind) if kind in KINDS else node.text
        return plain_value(node.text)

    def _tagged(self, node: Scalar, kind: str) -> object:
        value = plain_value(node.text)
        if not isinstance(value, KINDS[kind]):
            raise self._error(f"{node.text!r} is no {kind}", node)
        return value

    def _mapping(self, node: Mapping, depth: int) -> dict[str, object]:
        values: dict[str, object] = {}
        merged: dict[str, object] = {}
        for key_node, value_node in node.entries:
            if isinstance(key_node, Scalar) and key_node.text == MERGE and key_node.style is Style.PLAIN:
                merged = self._merged(value_node, depth + 1) | merged
                continue
            key = self._key(key_node)
            if key in values:
                raise self._error(f"the key {key!r} is there twice", key_node)
            values[key] = self.value(value_node, depth + 1)
        return values | {key: value for key, value in merged.items() if key not in values}

    def _key(self, node: Node) -> str:
        if isinstance(node, Alias):
            return self._key(node.target)
        if not isinstance(node, Scalar):
            raise self._error("a key that is a list or a mapping", node)
        value = self._scalar(node)
        return str(value).lower() if isinstance(value, bool) else node.text if value is None else str(value)

    def _merged(self, node: Node, depth: int) -> dict[str, object]:
        value = self.value(node, depth)
        parts = value if isinstance(value, list) else [value]
        merged: dict[str, object] = {}
        for part in parts:
            if not isinstance(part, dict):
                raise self._error("a merge key whose value is not a mapping", node)
            merged = part | merged
        return merged

    def _error(self, problem: str, node: Node) -> ManifestError:
        lines = TextLines(self.text)
        line = lines.number(node.start)
        place = Place(self.name, line + 1, node.start - lines.start(line) + 1)
        return ManifestError(problem, check="yaml", place=place)
