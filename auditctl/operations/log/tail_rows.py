"""The options of ``log tail``, and how its events are printed: a line for people, or the event itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from auditctl.log.events import FullEvent
from auditctl.log.filters import NO_FILTERS, LogFilters, Test
from auditctl.log.lines import Fold, line
from auditctl.log.reading import WholeBlock
from auditctl.printable import printable_json

Item = FullEvent | bytes


class TailFormat(Enum):
    """Lines for people, or the events themselves."""

    LINES = "text"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class TailOptions:
    """The options of ``log tail``. ``most`` None: 10, all with filters, none with ``follow``."""

    logs: tuple[str, ...] = ()
    filters: LogFilters = NO_FILTERS
    follow: bool = False
    most: int | None = None
    form: TailFormat = TailFormat.LINES
    colour: bool = False
    wide: bool = False
    header: bool = False


class TailPrinter:
    """Events to rows, each with its line end."""

    def __init__(self, options: TailOptions) -> None:
        self._options = options
        self._fold = None if options.form is not TailFormat.LINES or options.filters.stage else Fold()

    @property
    def folds(self) -> bool:
        """Are the stages of a request put together?"""
        return self._fold is not None

    def items(self, block: WholeBlock, test: Test | None, now: float) -> list[Item]:
        """Return those of the block that are asked for: events for people, else their bytes."""
        if self._options.form is not TailFormat.LINES:
            if test is None:
                return list(block.lines)
            return [each for event, each in zip(block.events, block.lines, strict=True) if test(event)]
        matching = block.events if test is None else [event for event in block.events if test(event)]
        if self._fold is None:
            return list(matching)
        return [each for event in matching for each in self._fold.take(event, now)]

    def rows(self, block: WholeBlock, test: Test | None, now: float) -> list[bytes]:
        """Return the same as they are printed."""
        return [self.row(each) for each in self.items(block, test, now)]

    def overdue(self, before: float) -> list[Item]:
        """Return requests that are still being answered."""
        return list(self._fold.overdue(before)) if self._fold is not None else []

    def row(self, item: Item) -> bytes:
        """As it is printed. JSON is YAML too: a document each."""
        if isinstance(item, bytes):
            return (b"--- " if self._options.form is TailFormat.YAML else b"") + printable_json(item) + b"\n"
        return (line(item, colour=self._options.colour, wide=self._options.wide) + "\n").encode("utf-8", "replace")
