"""Events to nodes: which anchor an alias means, and in which order go-yaml decodes (`decode.go`, its parser half)."""

from __future__ import annotations

from enum import Enum, auto

from auditctl.policy.goyaml.events import Sort, YamlEvent

_MERGE_TAG = "tag:yaml.org,2002:merge"


class NodeRole(Enum):
    """What a node is to its parent. A merged one is a mapping, or a list of them, behind ``<<``."""

    ITEM = auto()
    KEY = auto()
    MERGE_KEY = auto()
    VALUE = auto()
    MERGED = auto()


class YamlNode:
    """One node. A mapping's ``children`` are keys and values by turns; ``ancestors`` is how deep it lies,
    those left out that are not counted.

    ``target`` is what an alias stands for, None if that node is still open: then the alias is inside itself.
    ``role`` is what its parent takes it for. ``counted`` is False for what merging skips: the ``<<`` and the list behind
    it.
    """

    __slots__ = ("ancestors", "children", "counted", "event", "is_open", "role", "target")

    def __init__(
        self, event: YamlEvent, role: NodeRole = NodeRole.ITEM, counted: bool = True, target: YamlNode | None = None
    ) -> None:
        self.event = event
        self.ancestors = 0
        self.is_open = False
        self.role = role
        self.counted = counted
        self.target = target
        self.children: list[YamlNode] = []


def compose(events: list[YamlEvent]) -> list[YamlNode]:
    """Return the nodes of one document, each after its children; the last one is the root."""
    finished: list[YamlNode] = []
    open_nodes: list[YamlNode] = []
    anchors: dict[str, YamlNode] = {}
    for event in events:
        sort = event.sort
        if sort is Sort.SEQUENCE_END or sort is Sort.MAPPING_END:
            open_nodes[-1].is_open = False
            finished.append(open_nodes.pop())
            continue
        node = YamlNode(event)
        if open_nodes:
            _adopt(open_nodes[-1], node)
        if event.anchor:
            anchors[event.anchor] = node
        if sort is Sort.SEQUENCE_START or sort is Sort.MAPPING_START:
            node.is_open = True
            open_nodes.append(node)
            continue
        if sort is Sort.ALIAS:
            target = anchors[event.value]
            node.target = None if target.is_open else target
        finished.append(node)
    return finished


def _adopt(parent: YamlNode, node: YamlNode) -> None:
    if parent.event.sort is Sort.MAPPING_START:
        if len(parent.children) % 2 == 0:
            node.role = NodeRole.MERGE_KEY if _is_merge_key(node.event) else NodeRole.KEY
        else:
            node.role = NodeRole.MERGED if parent.children[-1].role is NodeRole.MERGE_KEY else NodeRole.VALUE
    node.counted = node.role is not NodeRole.MERGE_KEY
    if node.role is NodeRole.MERGED and node.event.sort is Sort.SEQUENCE_START:
        node.counted = False
    node.ancestors = parent.ancestors + parent.counted
    parent.children.append(node)


def _is_merge_key(event: YamlEvent) -> bool:
    return event.value == "<<" and (event.implicit or event.tag == _MERGE_TAG)
