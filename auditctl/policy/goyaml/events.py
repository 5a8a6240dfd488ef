"""What the parser hands to the constructor."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple


class Sort(Enum):
    """What an event says."""

    SCALAR = auto()
    ALIAS = auto()
    SEQUENCE_START = auto()
    SEQUENCE_END = auto()
    MAPPING_START = auto()
    MAPPING_END = auto()


class YamlEvent(NamedTuple):
    """``line`` and ``column`` count from 0. ``implicit``: a scalar whose text says its type (plain, or tagged ``!``)."""

    sort: Sort
    line: int
    column: int
    value: str = ""
    tag: str = ""
    anchor: str = ""
    implicit: bool = True
