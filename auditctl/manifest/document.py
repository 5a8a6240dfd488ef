"""Lossless YAML: the text as it is, and where in it everything stands. The one owner of ruamel.yaml here.

Text is never dumped: it is located through these nodes and changed by splices. The rules of reading are those of the
kubelet (go-yaml, YAML 1.1; ``k8s.io/apimachinery`` util/yaml ToJSON): the first document counts, the rest is not read.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamStartEvent,
)
from ruamel.yaml.scanner import Scanner

from auditctl.errors import ManifestError, Place
from auditctl.manifest.lines import BREAK, TextLines
from auditctl.manifest.plain_values import MAX_DEPTH, value_of
from auditctl.manifest.template import refuse_template_near, refuse_template_value
from auditctl.manifest.yaml_nodes import Alias, Mapping, Node, Scalar, Sequence, Style

# what ruamel's scanner lets through besides its own errors, on damaged text (bad escapes, bad directives)
FOREIGN = (YAMLError, ValueError, LookupError, AssertionError, AttributeError, TypeError, RecursionError, OverflowError)


class Document(NamedTuple):
    """A text and the nodes of its first YAML document. ``value`` is plain Python, as the kubelet would read it."""

    name: str
    text: str
    root: Mapping
    value: dict[str, Any]
    lines: TextLines

    @classmethod
    def parse(cls, raw: bytes, name: str) -> Document:
        """Read the bytes of a manifest; ``name`` is what messages call it.

        Raises ManifestError, with its place, for what is not UTF-8, not YAML, JSON, a template, empty or no mapping.
        """
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise ManifestError("the manifest is not UTF-8 text", place=Place(name, line)) from error
        return cls.of_text(text, name)

    @classmethod
    def of_text(cls, text: str, name: str) -> Document:
        """Read the text of a manifest; errors as in ``parse``."""
        if text.lstrip("\ufeff \t\r\n").startswith("{") and not text.lstrip("\ufeff \t\r\n").startswith(("{{", "{%")):
            raise ManifestError(
                "the manifest is JSON (or one flow mapping): it cannot be edited line by line",
                fix="write it as block YAML",
                place=Place(name, 1),
            )
        root = compose(text, name)
        if not isinstance(root, Mapping):
            raise ManifestError(
                "the manifest is empty" if root is None else "the manifest is not a mapping of keys to values",
                place=Place(name, 1),
            )
        refuse_template_value(root, text, name)
        value = value_of(root, text, name)
        assert isinstance(value, dict)  # noqa: S101 - a mapping node always gives a dict
        return cls(name, text, root, value, TextLines(text))

    def encode(self) -> bytes:
        """Return the bytes of the text; the very ones that were parsed."""
        return self.text.encode("utf-8")

    def node(self, path: tuple[str | int, ...]) -> Node | None:
        """Return the node at ``path`` (``("spec", "containers", 0)``), through aliases; None where none is written."""
        node: Node | None = self.root
        for step in path:
            node = child(resolve(node), step)
        return node

    def place(self, where: Node | tuple[str | int, ...] | int) -> Place:
        """Return file, line and column (from 1) of a node, of the deepest written part of a path, or of an offset."""
        if not isinstance(where, int | Node):
            where = self._deepest(where)
        offset = where if isinstance(where, int) else where.start
        line = self.lines.number(offset)
        return Place(self.name, line + 1, offset - self.lines.start(line) + 1)

    def _deepest(self, path: tuple[str | int, ...]) -> Node:
        """Return the node of the deepest part of a path that is written."""
        node = self.node(path)
        while node is None and path:
            path = path[:-1]
            node = self.node(path)
        return node or self.root


def child(node: Node | None, step: str | int) -> Node | None:
    """Return the node one step below: the item of a list, the value of a key; None where there is none."""
    match node, step:
        case Sequence(items=items), int():
            return items[step] if 0 <= step < len(items) else None
        case Mapping(), str():
            pair = node.entry(step)
            return pair[1] if pair else None
        case _:
            return None


def resolve(node: Node | None) -> Node | None:
    """Return what an alias means, any other node as it is."""
    return node.target if isinstance(node, Alias) else node


def load(text: str, name: str = "") -> object:
    """Return the plain value of the first document of ``text``; None if it is empty.

    Raises ManifestError, with its place, for what does not parse and for a key that is there twice.
    """
    root = compose(text, name)
    return None if root is None else value_of(root, text, name)


def compose(text: str, name: str) -> Node | None:
    """Return the located root node of the first document; None for an empty text. Raises ManifestError."""
    try:
        return _Composer(text).first_document()
    except ManifestError:
        raise
    except FOREIGN as error:
        offset = _offset(error)
        lines = TextLines(text)
        line = lines.number(min(offset, len(text)))
        place = Place(name, line + 1, offset - lines.start(line) + 1)
        refuse_template_near(lines, line, name)
        raise ManifestError(f"not readable as YAML: {_problem(error)}", check="yaml", place=place) from error


def _offset(error: BaseException) -> int:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return int(getattr(mark, "index", getattr(error, "position", 0)) or 0)


def _problem(error: BaseException) -> str:
    if isinstance(error, MarkedYAMLError):
        return " ".join(str(part) for part in (error.context, error.problem) if part)
    return str(getattr(error, "reason", "")) or str(error) or type(error).__name__


class _Scanner(Scanner):
    """ruamel's scanner refuses a tab between a value and its comment.

    YAML and the kubelet's go-yaml allow it (``yaml_parser_scan_to_next_token``).
    """

    def scan_to_next_token(self) -> Any:
        while True:
            super().scan_to_next_token()
            if self.reader.peek() != "\t" or self.allow_simple_key:
                return None
            while self.reader.peek() in " \t":
                self.reader.forward()
            if self.reader.peek() not in "#\t\r\n\x85\u2028\u2029":
                return None


class _Composer:
    """Turns ruamel's parser events into our nodes: no resolver, no constructor, exact ends."""

    def __init__(self, text: str) -> None:
        yaml = YAML(typ="safe", pure=True)
        yaml.Scanner = _Scanner
        self.text = text
        self.anchors: dict[str, Node] = {}
        self.parser: Any = yaml.get_constructor_parser(text)[1]

    def first_document(self) -> Node | None:
        self._next(StreamStartEvent)
        if not self.parser.check_event(DocumentStartEvent):
            return None
        self._next(DocumentStartEvent)
        return self._node(0)

    def _next(self, *_kinds: type) -> Any:
        return self.parser.get_event()

    def _node(self, depth: int) -> Node:
        event = self._next()
        if depth > MAX_DEPTH:
            raise MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH}", problem_mark=event.start_mark)
        match event:
            case AliasEvent():
                return self._alias(event)
            case ScalarEvent():
                node: Node = self._scalar(event)
            case SequenceStartEvent():
                node = self._sequence(event, depth)
            case _:
                node = self._mapping(event, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> Alias:
        target = self.anchors.get(event.anchor)
        if target is None:  # also an alias to the node that it stands in
            raise MarkedYAMLError(problem=f"undefined alias *{event.anchor}", problem_mark=event.start_mark)
        return Alias(start=event.start_mark.index, end=event.end_mark.index, target=target)

    def _scalar(self, event: Any) -> Scalar:
        start, end, style = event.start_mark.index, event.end_mark.index, Style(event.style or "")
        if style in {Style.LITERAL, Style.FOLDED}:
            end = self._end_of_block(start, end)
        return Scalar(start=start, end=end, text=event.value, style=style, **self._properties(event))

    def _end_of_block(self, start: int, end: int) -> int:
        """Return where a block scalar ends: blank lines behind it are its own only where it keeps them (``|+``)."""
        body = self.text[start:end]
        header = BREAK.split(body, maxsplit=1)[0].partition(" #")[0]
        return end if "+" in header else start + len(body.rstrip(" \t\r\n\x85\u2028\u2029"))

    def _sequence(self, event: Any, depth: int) -> Sequence:
        items = []
        while not self.parser.check_event(SequenceEndEvent):
            items.append(self._node(depth + 1))
        end = self._end(event, self._next(), items)
        return Sequence(
            start=event.start_mark.index, end=end, items=tuple(items), flow=event.flow_style, **self._properties(event)
        )

    def _mapping(self, event: Any, depth: int) -> Mapping:
        entries = []
        while not self.parser.check_event(MappingEndEvent):
            entries.append((self._node(depth + 1), self._node(depth + 1)))
        end = self._end(event, self._next(), [node for entry in entries for node in entry])
        start = event.start_mark.index
        return Mapping(start=start, end=end, entries=tuple(entries), flow=event.flow_style, **self._properties(event))

    @staticmethod
    def _end(start_event: Any, end_event: Any, children: list[Node]) -> int:
        if start_event.flow_style or not children:
            return int(end_event.end_mark.index)
        return children[-1].end  # the end mark of a block stands behind the comments that follow it

    @staticmethod
    def _properties(event: Any) -> dict[str, str]:
        tag = "" if event.ctag is None else str(event.ctag)
        return {"anchor": event.anchor or "", "tag": "" if tag == "!" else tag}
