"""What an API server with another policy would have written of the requests of a log: its events, cut to that policy.

A server decides by the request alone, and what it writes at a lower level is what it writes at a higher one without the
bodies (`apiserver/pkg/audit/request.go` LogRequestObject, LogResponseObject) and without the patches of admission
webhooks (`pkg/admission/plugin/webhook/mutating/dispatcher.go` adds these from level Request on). So an event can be cut
exactly; what was never recorded cannot be added: such an event keeps its level, and is counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from auditctl.log.aggregate import CellKey, Counting, PolicyMatcher
from auditctl.log.damage import ReadStatistics
from auditctl.log.event_cut import cut_bytes
from auditctl.log.events import CompactEvent, Reader
from auditctl.log.json_spans import Edit, edited, edited_elements
from auditctl.log.reading import EventBlock
from auditctl.log.replay import decided, writes
from auditctl.log.sizes import level_of
from auditctl.policy.types import Level, Policy

_PATCH_ANNOTATION = "patch.webhook.admission.k8s.io/"
_MOST_DECISIONS_KEPT = 50_000
_MANAGED = b'"managedFields"'


class _Cut(NamedTuple):
    """What becomes of events of one kind. ``is_poorer``: the policy asks for more than is recorded."""

    is_written: bool
    is_poorer: bool
    recorded: Level
    level: Level
    strips: bool


class FilterCounts:
    """What the reading met, and the events that were ``kept`` and ``dropped``.

    ``poorer``: written at the recorded level, as the policy's level is higher and its bodies are not in the log.
    """

    def __init__(self) -> None:
        self.account = ReadStatistics()
        self.kept = self.dropped = self.poorer = 0

    def absorb(self, other: FilterCounts) -> None:
        self.account.absorb(other.account)
        self.kept += other.kept
        self.dropped += other.dropped
        self.poorer += other.poorer


class PolicyFilter:
    """Cuts events to what a policy records."""

    def __init__(self, policy: Policy, reader: Reader) -> None:
        self._reader = reader
        self._matcher = PolicyMatcher((policy,))
        self._keys = Counting(self._matcher, reader)
        self._cuts: dict[tuple[object, ...], _Cut] = {}

    def lines(self, block: EventBlock, counts: FilterCounts) -> Iterator[bytes]:
        """Yield the lines that the server would have written, without line ends, and count the events."""
        for event, line in zip(block.events, block.lines, strict=True):
            cut = self._cut_of(event)
            if not cut.is_written:
                counts.dropped += 1
                continue
            counts.kept += 1
            counts.poorer += cut.is_poorer
            if cut.level is cut.recorded and not (cut.strips and _MANAGED in line):
                yield line
            else:
                yield _cut(event, line, cut, self._reader)

    def _cut_of(self, event: CompactEvent) -> _Cut:
        """Return what becomes of an event, kept by what the line says of user, verb, level, stage and object."""
        key = self._keys.line_key(event)
        cut = self._cuts.get(key) if key is not None else None
        if cut is None:
            decision = decided(self._matcher, CellKey(*self._keys.key_of(event)[0]), 0)  # type: ignore[arg-type] # as `volumes`
            recorded = level_of(event.level)
            level = min(recorded, decision.level)
            strips = decision.omit_managed_fields and level >= Level.REQUEST
            cut = _Cut(writes(decision, event.stage), decision.level > recorded, recorded, level, strips)
            if len(self._cuts) >= _MOST_DECISIONS_KEPT:
                self._cuts.clear()
            if key is not None:
                self._cuts[key] = cut
        return cut


def _cut(event: CompactEvent, line: bytes, cut: _Cut, reader: Reader) -> bytes:
    """Return the line at the policy's level."""
    level, managed = cut.level, cut.strips and _MANAGED in line
    quick = cut_bytes(event, line, level, reader, strips=managed)
    if quick is not None:
        return quick
    edits: dict[str, Edit] = {"level": lambda _: json.dumps(level.value)}
    # the body of a patch is what the client sent, and is never altered
    edits["requestObject"] = _body(level >= Level.REQUEST, managed and event.verb != "patch")
    edits["responseObject"] = _body(level >= Level.REQUEST_RESPONSE, managed)
    if level < Level.REQUEST:
        edits["annotations"] = _annotations
    return edited(line.decode("utf-8", "surrogateescape").strip(), edits).encode("utf-8", "surrogateescape")


def _body(is_recorded: bool, strips: bool) -> Edit:  # noqa: FBT001 (two facts of one place)
    if not is_recorded:
        return lambda _: None
    return _without_managed_fields if strips else lambda body: body


def _annotations(text: str) -> str | None:
    """Return the annotations without the webhooks' patches; None where no other is left."""
    keys = [key for key in json.loads(text) if key.startswith(_PATCH_ANNOTATION)]
    if not keys:
        return text
    rest = edited(text, dict.fromkeys(keys, lambda _: None))
    return None if rest == "{}" else rest


def _without_managed_fields(body: str) -> str:
    """Return a body without managed fields: of the object, of the items of a list, of the rows of a table."""
    return edited(
        body,
        {
            "metadata": _bare_metadata,
            "items": lambda items: edited_elements(items, _bare_object),
            "rows": lambda rows: edited_elements(rows, lambda row: edited(row, {"object": _bare_object})),
        },
    )


def _bare_object(text: str) -> str:
    return edited(text, {"metadata": _bare_metadata})


def _bare_metadata(text: str) -> str:
    return edited(text, {"managedFields": lambda _: None})
