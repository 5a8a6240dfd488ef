"""Located YAML nodes: what stands where in the text. Positions are offsets in characters; ``end`` is exclusive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum


class Style(Enum):
    """How a scalar is spelled; the values are YAML's own indicators."""

    PLAIN = ""
    SINGLE = "'"
    DOUBLE = '"'
    LITERAL = "|"
    FOLDED = ">"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Anything that has a place. ``start`` includes an anchor and a tag; ``end`` is behind the last character."""

    start: int
    end: int
    anchor: str = ""
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar(Node):
    """A scalar; ``text`` is its content after unquoting and folding."""

    text: str
    style: Style = Style.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence(Node):
    """A list; ``flow`` is the ``[a, b]`` form."""

    items: tuple[Node, ...] = ()
    flow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping(Node):
    """A mapping, entries in the order of the text; ``flow`` is the ``{a: b}`` form."""

    entries: tuple[tuple[Node, Node], ...] = ()
    flow: bool = False

    def entry(self, key: str) -> tuple[Node, Node] | None:
        """Return the key and value nodes of ``key``, None where it is not written here (a merge key may bring it)."""
        return next((pair for pair in self.entries if isinstance(pair[0], Scalar) and pair[0].text == key), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias(Node):
    """``*name``: stands here, means ``target``."""

    target: Node = field(repr=False)


def walk(node: Node) -> Iterator[Node]:
    """Yield ``node`` and all below it in the order of the text; an alias is yielded, its target is not entered."""
    yield node
    match node:
        case Sequence(items=items):
            for item in items:
                yield from walk(item)
        case Mapping(entries=entries):
            for key, value in entries:
                yield from walk(key)
                yield from walk(value)
        case _:
            return
