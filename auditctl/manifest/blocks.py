"""Block lists and mappings as lines: which lines each entry owns, how a new one is indented; all else is refused."""

from __future__ import annotations

from typing import NamedTuple

from auditctl.errors import ManifestError
from auditctl.manifest.document import Document, child
from auditctl.manifest.fields import written
from auditctl.manifest.yaml_nodes import Alias, Mapping, Node, Sequence, walk
from auditctl.patterns import lazily

Path = tuple[str | int, ...]
Span = tuple[int, int]

# what may stand between two nodes: blanks, line ends, comments, and the anchor or tag of the list itself
GAP = lazily("(?:[ \t\ufeff]|\r\n|[\n\r\x85\u2028\u2029]|(?<![^\\s\ufeff])#[^\n\r\x85\u2028\u2029]*)*")
STEP = 2  # kubeadm's own indentation, where the text shows no other


class YamlBlock(NamedTuple):
    """One block list or mapping. ``spans`` are the lines of its entries (first, behind the last), from 0.

    ``column`` is where dashes or keys stand; ``lead`` is what comes before the content of a list's entry (``"  - "``).
    ``first_is_inline``: the first key shares its line with a dash, so nothing can stand before it.
    """

    path: Path
    spans: tuple[Span, ...]
    column: int
    lead: str = ""
    first_is_inline: bool = False


def editable(document: Document, path: Path) -> Node:
    """Return the node at ``path``. Raises ManifestError where an edit there would not be exact.

    That is: an alias or a merge key brings it, an anchor hands it on, or it is in flow style.
    """
    node: Node = document.root
    for depth, step in enumerate((*path, None)):
        here = written(path[:depth]) or "the manifest"
        if isinstance(node, Alias):
            raise _in_the_way(document, node, f"{here} is an alias")
        if node.anchor:
            raise _in_the_way(document, node, f"{here} has the anchor &{node.anchor}: what uses it would change too")
        if isinstance(node, Sequence | Mapping) and node.flow:
            raise ManifestError(
                f"{here} is written in flow style ([...] or {{...}}) and would have to change",
                check="flow-style",
                fix="write it as a block, one entry a line",
                place=document.place(node),
            )
        if step is not None:
            below = child(node, step)
            if below is None:
                raise _in_the_way(document, node, f"{written(path[: depth + 1])} comes through a merge key or an alias")
            node = below
    return node


def refuse_anchors(document: Document, node: Node) -> None:
    """Raise ManifestError where ``node`` or a part of it has an anchor: what uses it would lose it."""
    for part in walk(node):
        if part.anchor:
            raise _in_the_way(document, part, f"the anchor &{part.anchor} stands in what would have to change")


def _in_the_way(document: Document, node: Node, problem: str) -> ManifestError:
    return ManifestError(problem, check="anchor", fix="write the value out", place=document.place(node))


def list_block(document: Document, path: Path) -> YamlBlock:
    """Return the block list at ``path``. Raises ManifestError for one that cannot be edited line by line."""
    node = editable(document, path)
    if not isinstance(node, Sequence):
        problem = f"{written(path)} is there but has no entries, so that its form cannot be told"
        raise ManifestError(problem, fix=f"remove the key {path[-1]}", place=document.place(path))
    spans, dashes, position = [], [], node.start
    for item in node.items:
        dash = GAP.match(document.lines.text, position).end()  # type: ignore[union-attr] # matches the empty string
        line = document.lines.number(dash)
        _refuse_odd_dash(document, path, dash, line)
        dashes.append(dash)
        spans.append((line, _behind(document, item, dash)))
        position = item.end
    column = dashes[0] - document.lines.start(spans[0][0])
    return YamlBlock(path, tuple(spans), column, _lead(document, node, dashes))


def _refuse_odd_dash(document: Document, path: Path, dash: int, line: int) -> None:
    before = document.lines.text[document.lines.start(line) : dash]
    if document.lines.text[dash : dash + 1] != "-" or before.strip(" "):
        raise ManifestError(
            f"{written(path)} is written so that its lines cannot be told apart", place=document.place(dash)
        )


def _behind(document: Document, node: Node, start: int) -> int:
    """Return the line behind the last one that ``node`` stands on; a value that is not there is marked further down."""
    last = max(start, node.end - 1) if node.end > node.start else start
    return document.lines.number(last) + 1


def _lead(document: Document, node: Sequence, dashes: list[int]) -> str:
    """Return the indentation and dash of the last entry that begins on its dash's line: what most entries look like."""
    for item, dash in reversed(list(zip(node.items, dashes, strict=True))):
        gap = document.lines.text[dash + 1 : item.start]
        if gap and not gap.strip(" "):
            return document.lines.text[document.lines.start(document.lines.number(dash)) : item.start]
    dash = dashes[0]
    return document.lines.text[document.lines.start(document.lines.number(dash)) : dash] + "- "


def mapping_block(document: Document, path: Path) -> YamlBlock:
    """Return the block mapping at ``path``. Raises ManifestError for one that cannot be edited line by line."""
    node = editable(document, path)
    if not isinstance(node, Mapping):
        problem = f"{written(path)} is there but has no entries, so that its form cannot be told"
        raise ManifestError(problem, fix=f"remove the key {path[-1]}", place=document.place(path))
    spans, leads = [], []
    for key, value in node.entries:
        line = document.lines.number(key.start)
        leads.append(document.lines.text[document.lines.start(line) : key.start])
        spans.append((line, _behind(document, value, key.start)))
        if leads[-1].strip(" ") and (len(leads) > 1 or leads[0].strip(" -")):  # only a dash may share the first line
            raise ManifestError(f"{written(path)} has a key that cannot be edited exactly", place=document.place(key))
    return YamlBlock(path, tuple(spans), len(leads[0]), first_is_inline=bool(leads[0].strip(" ")))


def entry_step(document: Document, path: Path) -> int:
    """Return how far a nested mapping below the list at ``path`` is indented (``hostPath:`` to ``path:``)."""
    node = document.node(path)
    for part in walk(node) if node else ():
        if isinstance(part, Mapping):
            for key, value in part.entries:
                if isinstance(value, Mapping) and not value.flow:
                    return _column(document, value.entries[0][0]) - _column(document, key)
    return STEP


def list_offset(document: Document, path: Path, key_column: int) -> int:
    """Return how far the dashes of the list at ``path`` are indented from its key (0 as kubeadm writes it)."""
    node = document.node(path)
    if isinstance(node, Sequence) and not node.flow:
        return _column(document, node) - key_column
    return 0


def _column(document: Document, node: Node) -> int:
    return document.place(node).column - 1
