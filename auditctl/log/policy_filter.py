"""What an API server with another policy would have written of the requests of a log: its events, cut to that policy.

A server decides by the request alone, and what it writes at a lower level is what it writes at a higher one without the
bodies (`apiserver/pkg/audit/request.go` LogRequestObject, LogResponseObject) and without the patches of admission
webhooks (`pkg/admission/plugin/webhook/mutating/dispatcher.go` adds these from level Request on). So an event can be cut
exactly; what was never recorded cannot be added: such an event keeps its level, and is counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from auditctl.log.aggregate import CellKey, Counting, PolicyMatcher
from auditctl.log.events import CompactEvent, Reader
from auditctl.log.json_spans import Edit, edited, edited_elements
from auditctl.log.reading import EventBlock
from auditctl.log.replay import decided, writes
from auditctl.log.sizes import level_of
from auditctl.policy.types import Decision, Level, Policy

_PATCH_ANNOTATION = "patch.webhook.admission.k8s.io/"
_MOST_DECISIONS_KEPT = 50_000
_MANAGED = b'"managedFields"'


class PolicyFilter:
    """Cuts events to what a policy records. ``kept``, ``dropped`` and ``poorer`` count them.

    ``poorer``: written at the recorded level, as the policy's level is higher and its bodies are not in the log.
    """

    def __init__(self, policy: Policy, reader: Reader) -> None:
        self._matcher = PolicyMatcher((policy,))
        self._keys = Counting(self._matcher, reader)
        self._decisions: dict[tuple[object, ...], Decision] = {}
        self.kept = self.dropped = self.poorer = 0

    def lines(self, block: EventBlock) -> Iterator[bytes]:
        """Yield the lines that the server would have written, without line ends."""
        for event, line in zip(block.events, block.lines, strict=True):
            decision = self._decision(event)
            if not writes(decision, event.stage):
                self.dropped += 1
                continue
            self.kept += 1
            recorded = level_of(event.level)
            self.poorer += decision.level > recorded
            yield _cut(event, line, recorded, decision)

    def _decision(self, event: CompactEvent) -> Decision:
        key, _ = self._keys.key_of(event)
        decision = self._decisions.get(key)
        if decision is None:
            if len(self._decisions) >= _MOST_DECISIONS_KEPT:
                self._decisions.clear()
            decision = self._decisions[key] = decided(self._matcher, CellKey(*key), 0)  # type: ignore[arg-type] # as `volumes`
        return decision


def _cut(event: CompactEvent, line: bytes, recorded: Level, decision: Decision) -> bytes:
    """Return the line at the policy's level; the very line where nothing is to be cut."""
    level = min(recorded, decision.level)
    managed = decision.omit_managed_fields and level >= Level.REQUEST and _MANAGED in line
    if level is recorded and not managed:
        return line
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
