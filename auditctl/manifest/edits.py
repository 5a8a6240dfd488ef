"""Edits: each an RFC 6902 operation with its reason, and the splices on the text that do the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from auditctl.errors import ManifestError
from auditctl.manifest.blocks import Path, Span, YamlBlock, list_block, mapping_block, refuse_anchors
from auditctl.manifest.document import Document
from auditctl.manifest.fields import written
from auditctl.manifest.lines import Splice
from auditctl.manifest.placement import clean_position, in_order, line_of, sorted_position
from auditctl.manifest.yaml_nodes import Mapping as MappingNode
from auditctl.manifest.yaml_nodes import Scalar
from auditctl.manifest.yaml_scalars import respelled


class Edit(NamedTuple):
    """One RFC 6902 operation (``op``, ``path``, ``value``) and why it is made."""

    operation: dict[str, Any]
    reason: str


class NewEntry(NamedTuple):
    """A new entry of a list: its plain value, its lines without indentation of the list, why, and where.

    ``position`` is the index in the list as it is now, before which it goes.
    """

    value: Any
    lines: Sequence[str]
    reason: str
    position: int = 0


class PlanDraft:
    """The edits of one plan while they are gathered. The order of ``edits`` is that of a sequential patch."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.edits: list[Edit] = []
        self.splices: list[Splice] = []
        self.removed: list[Span] = []

    def text(self) -> str:
        """Return the new text. Raises BugError where edits contradict each other."""
        lines = self.document.lines
        return lines.spliced([*self.splices, *lines.removals(self.removed)])

    def respell(self, path: Path, value: str, reason: str) -> None:
        """Change the scalar at ``path`` to ``value`` in its own spelling. Raises ManifestError if that is inexact."""
        place = self.document.place(path)
        node = self.document.node(path)
        list_block(self.document, path[:-1]) if isinstance(path[-1], int) else mapping_block(self.document, path[:-1])
        if not isinstance(node, Scalar) or node.anchor:
            raise ManifestError(f"{written(path)} is an alias or has an anchor", check="anchor", place=place)
        source = self.document.text[node.start : node.end]
        self.splices.append(Splice(node.start, node.end, respelled(source, node, value, place)))
        self._add("replace", path, value, reason)

    def change_list(self, path: Path, removed: Mapping[int, str], entries: Sequence[NewEntry]) -> None:
        """Take entries out of the list at ``path`` (index to reason) and put new ones in, in the order given.

        A list that becomes empty goes with its key. Raises ManifestError where lines do not tell the entries apart.
        """
        if not removed and not entries:
            return
        block = list_block(self.document, path)
        for index in sorted(removed, reverse=True):
            node = self.document.node((*path, index))
            if node:
                refuse_anchors(self.document, node)
            self.removed.append(block.spans[index])
        if len(removed) == len(block.spans) and not entries:
            self.drop_key(path, "; ".join(dict.fromkeys(removed.values())), keep_value_lines=True)
            return
        for index in sorted(removed, reverse=True):
            self._add("remove", (*path, index), None, removed[index])
        self._insert_entries(block, removed, entries)

    def _insert_entries(self, block: YamlBlock, removed: Mapping[int, str], entries: Sequence[NewEntry]) -> None:
        ordered = sorted(entries, key=lambda entry: entry.position)
        for count, entry in enumerate(ordered):
            gone = sum(index < entry.position for index in removed)
            self._add("add", (*block.path, entry.position - gone + count), entry.value, entry.reason)
            line = line_of(entry.position, block.spans)
            self.splices.append(self.document.lines.insertion(line, indented(entry.lines, block.lead)))

    def add_key(self, path: Path, value: Any, lines: Iterable[str], reason: str) -> None:
        """Add a key to the mapping above ``path``; ``lines`` are relative to the key's column."""
        above, key = path[:-1], str(path[-1])
        block = mapping_block(self.document, above)
        names = _keys(self.document.node(above))
        index = sorted_position(names, key) if in_order(names) else len(names)
        allowed = range(1 if block.first_is_inline else 0, len(names) + 1)
        position = clean_position(index, (), allowed, block.spans, self.document.lines)
        line = line_of(position, block.spans)
        self.splices.append(self.document.lines.insertion(line, [" " * block.column + one for one in lines]))
        self._add("add", path, value, reason)

    def drop_key(self, path: Path, reason: str, *, keep_value_lines: bool = False) -> None:
        """Take out the key at ``path``; with ``keep_value_lines`` only its own line, because the value's go already."""
        above = path[:-1]
        block = mapping_block(self.document, above)
        names = _keys(self.document.node(above))
        index = names.index(str(path[-1]))
        if index == 0 and block.first_is_inline:
            raise ManifestError(
                f"{written(path)} would be empty and shares its line with a dash: it cannot be taken out exactly",
                place=self.document.place(path),
            )
        first, behind = block.spans[index]
        self.removed.append((first, first + 1 if keep_value_lines else behind))
        self._add("remove", path, None, reason)

    def _add(self, operation: str, path: Path, value: Any, reason: str) -> None:
        body: dict[str, Any] = {"op": operation, "path": pointer(path)}
        if operation != "remove":
            body["value"] = value
        self.edits.append(Edit(body, reason))


def _keys(node: object) -> list[str]:
    entries = node.entries if isinstance(node, MappingNode) else ()
    return [key.text if isinstance(key, Scalar) else "" for key, _ in entries]


def pointer(path: Path) -> str:
    """Return ``path`` as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def indented(lines: Iterable[str], lead: str) -> list[str]:
    """Return the lines of a list entry behind its dash (``lead``); the others in the column of the first."""
    first, *rest = lines
    return [lead + first, *(" " * len(lead) + line for line in rest)]
