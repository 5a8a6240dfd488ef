"""Located YAML nodes: what stands where in the text. Positions are offsets in characters; ``end`` is exclusive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeAlias


class Style(Enum):
    """How a scalar is spelled; the values are YAML's own indicators."""

    PLAIN = ""
    SINGLE = "'"
    DOUBLE = '"'
    LITERAL = "|"
    FOLDED = ">"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A scalar; ``text`` is its content after unquoting and folding."""

    start: int
    end: int
    text: str
    anchor: str = ""
    tag: str = ""
    style: Style = Style.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """A list; ``flow`` is the ``[a, b]`` form."""

    start: int
    end: int
    items: tuple[Node, ...] = ()
    flow: bool = False
    anchor: str = ""
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """A mapping, entries in the order of the text; ``flow`` is the ``{a: b}`` form."""

    start: int
    end: int
    entries: tuple[tuple[Node, Node], ...] = ()
    flow: bool = False
    anchor: str = ""
    tag: str = ""

    def entry(self, key: str) -> tuple[Node, Node] | None:
        """Return the key and value nodes of ``key``, None where it is not written here (a merge key may bring it)."""
        return next((pair for pair in self.entries if isinstance(pair[0], Scalar) and pair[0].text == key), None)


class Alias(NamedTuple):
    """``*name``: stands here, means ``target``."""

    start: int
    end: int
    target: Node
    anchor: str = ""
    tag: str = ""


# Anything that has a place. ``start`` includes an anchor and a tag; ``end`` is behind the last character.
Node: TypeAlias = Scalar | Sequence | Mapping | Alias


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
