"""Replace a key and its whole value in a text by new lines, where the value itself is of no use any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from auditctl.errors import ManifestError
from auditctl.manifest.blocks import mapping_block
from auditctl.manifest.edits import Edit, PlanDraft, pointer
from auditctl.manifest.lines import Splice
from auditctl.manifest.yaml_nodes import Mapping


def fill(draft: PlanDraft, path: tuple[str, ...], value: Any, lines: Sequence[str], reason: str) -> None:
    """Write ``lines`` (relative to the key's column) in the place of the key at ``path`` and all of its value.

    Raises ManifestError where the lines of the key cannot be told apart from others.
    """
    document = draft.document
    block = mapping_block(document, path[:-1])
    above = document.node(path[:-1])
    names = [document.text[key.start : key.end] for key, _ in above.entries] if isinstance(above, Mapping) else []
    pair = above.entry(path[-1]) if isinstance(above, Mapping) else None
    if pair is None:
        raise ManifestError(f"{path[-1]} comes through an alias", check="anchor", place=document.place(path[:-1]))
    index = names.index(document.text[pair[0].start : pair[0].end])
    first, behind = block.spans[index]
    start, end = document.lines.start(first), document.lines.start(behind)
    line_end = document.lines.line_end(first)
    written = "".join(" " * block.column + line + line_end for line in lines)
    draft.splices.append(Splice(start, end, written))
    draft.edits.append(Edit({"op": "replace", "path": pointer(path), "value": value}, reason))
