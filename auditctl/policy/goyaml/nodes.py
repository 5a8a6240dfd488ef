"""Events to nodes: which anchor an alias means, and in which order go-yaml decodes (`decode.go`, its parser half)."""

from __future__ import annotations

from dataclasses import dataclass, field

from auditctl.policy.goyaml.events import Event, Sort

_MERGE_TAG = "tag:yaml.org,2002:merge"


@dataclass(slots=True, eq=False)
class Node:
    """One node. A mapping's ``children`` are keys and values by turns; ``ancestors`` is how deep it lies.

    ``target`` is what an alias stands for, None if that node is still open: then the alias is inside itself.
    ``counted`` is False for what merging skips: the ``<<`` and the list behind it.
    """

    event: Event
    ancestors: int
    counted: bool = True
    target: Node | None = None
    children: list[Node] = field(default_factory=list)

    @property
    def is_merge(self) -> bool:
        event = self.event
        return event.sort is Sort.SCALAR and event.value == "<<" and (event.implicit or event.tag == _MERGE_TAG)


def compose(events: list[Event]) -> list[Node]:
    """The nodes of one document, each after its children; the last one is the root."""
    finished: list[Node] = []
    open_nodes: list[Node] = []
    anchors: dict[str, Node] = {}
    for event in events:
        if event.sort in {Sort.SEQUENCE_END, Sort.MAPPING_END}:
            finished.append(open_nodes.pop())
            continue
        node = Node(event, len(open_nodes))
        if open_nodes:
            _adopt(open_nodes[-1], node)
        if event.anchor:
            anchors[event.anchor] = node
        if event.sort in {Sort.SEQUENCE_START, Sort.MAPPING_START}:
            open_nodes.append(node)
            continue
        if event.sort is Sort.ALIAS:
            target = anchors[event.value]
            node.target = None if target in open_nodes[target.ancestors : target.ancestors + 1] else target
        finished.append(node)
    return finished


def _adopt(parent: Node, node: Node) -> None:
    if parent.event.sort is Sort.MAPPING_START:
        if len(parent.children) % 2 == 0:
            node.counted = not node.is_merge
        elif parent.children[-1].is_merge:
            node.counted = node.event.sort is not Sort.SEQUENCE_START
    parent.children.append(node)
