"""``log tail``: the events that are asked for, as they are in the log or as they come."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import UsageError
from auditctl.log import sources
from auditctl.log.across import in_order
from auditctl.log.blocks import STANDARD_INPUT, Piece, WholeBlock, whole_block, whole_blocks
from auditctl.log.damage import Account
from auditctl.log.events import Whole, reader
from auditctl.log.filters import Test, Wanted, compiled, needle
from auditctl.log.follow import Follower
from auditctl.log.lines import Fold, line
from auditctl.node.logfiles import log_files
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.log_files import node_log

_POLL_SECONDS = 0.02
_HELD_SECONDS = 0.05
_USUAL_LINES = 10


class Asked(NamedTuple):
    """The options of ``log tail``. ``most`` None: 10, all with filters, none with ``follow``."""

    logs: tuple[str, ...] = ()
    wanted: Wanted = Wanted()
    follow: bool = False
    most: int | None = None
    as_json: bool = False
    colour: bool = False


class Tailed(NamedTuple):
    """Pieces of output, each whole lines; and what the reading met."""

    pieces: Iterator[bytes]
    account: Account


def log_tail(plane: ControlPlane, asked: Asked) -> Tailed:
    """What is printed, piece by piece; with ``follow`` it never ends, and an empty piece says that nothing has come.

    Raises:
        UsageError: a filter is not of its form; RefusedError: a log cannot be read.
    """
    test = compiled(asked.wanted, datetime.now(UTC)) if asked.wanted.given else None
    account = Account()
    if asked.follow:
        return Tailed(_followed(_log_of(plane, asked), asked, test, account), account)
    names = asked.logs or tuple(map(str, sorted(log_files(node_log(plane)))))
    found = sources.open_sources(names)
    return Tailed(_read(found, asked, test, account), account)


def _log_of(plane: ControlPlane, asked: Asked) -> Path:
    if len(asked.logs) > 1 or STANDARD_INPUT in asked.logs:
        raise UsageError("-f follows one log, by its path", fix="name the file that the API server writes")
    return Path(asked.logs[0]) if asked.logs else node_log(plane)


def _read(found: list[sources.Source], asked: Asked, test: Test | None, account: Account) -> Iterator[bytes]:
    count = asked.most
    if count is None and test is None:
        count = _USUAL_LINES
    try:
        if count is not None:
            yield b"".join(_last(found, count, _Printer(asked), test, account))
            return
        printer, reading, wanted = _Printer(asked), reader(), needle(asked.wanted)

        def printed(piece: Piece, met: Account) -> Iterator[bytes]:
            for block in whole_blocks(piece, reading, met, wanted):
                if rows := printer.rows(block, test, 0.0):
                    yield b"".join(rows)

        # folded stages belong together wherever the file is cut: one process then
        pieces = sources.whole_pieces(found) if printer.folds else sources.pieces(found)
        yield from in_order(pieces, printed, account, 1 if printer.folds else None)
        yield b"".join(printer.overdue(0.0))
    finally:
        sources.close(found)


def _last(
    found: list[sources.Source], count: int, printer: _Printer, test: Test | None, account: Account
) -> list[bytes]:
    """The last rows of all: the newest file first, the older ones only as far as they are needed."""
    rows: list[bytes] = []
    reading = reader()
    for piece in reversed(sources.whole_pieces(found)):
        if len(rows) >= count:
            break
        newest = not rows
        kept: deque[bytes] = deque(maxlen=count)
        for block in whole_blocks(piece, reading, account):
            kept.extend(printer.rows(block, test, 0.0))
        late = printer.overdue(0.0)  # in an older file: answered in a newer one
        rows = [*kept, *(late if newest else ()), *rows]
    return rows[len(rows) - count :] if count < len(rows) else rows


def _followed(log: Path, asked: Asked, test: Test | None, account: Account) -> Iterator[bytes]:
    rotated = partial(log_files, log)
    printer, reading = _Printer(asked), reader()
    from_end = asked.wanted.since is None and not asked.most
    with closing(Follower(log, rotated, from_end=from_end)) as follower:
        if not from_end:
            yield from _before(asked, test, account, follower)
        while True:
            now = time.monotonic()
            printed = False
            for text, offset in follower.texts():
                rows = printer.rows(whole_block(text, offset, str(log), reading, account), test, now)
                if rows:
                    printed = True
                    yield b"".join(rows)
            late = printer.overdue(now - _HELD_SECONDS)
            if late:
                yield b"".join(late)
            elif not printed:
                yield b""
                time.sleep(_POLL_SECONDS)


def _before(asked: Asked, test: Test | None, account: Account, follower: Follower) -> Iterator[bytes]:
    """What stands in the log already: all since a time, or the last ``most`` rows."""
    earlier = sources.open_sources(map(str, follower.earlier))
    once = asked._replace(follow=False)
    if asked.most is None:
        yield from _read(earlier, once, test, account)
        return
    reading, printer = reader(), _Printer(once)
    kept: deque[bytes] = deque(maxlen=asked.most)
    for text, offset in follower.texts():
        kept.extend(printer.rows(whole_block(text, offset, "", reading, account), test, 0.0))
    rows = [*kept, *printer.overdue(0.0)][-asked.most :]
    try:
        yield b"".join([*_last(earlier, asked.most - len(rows), printer, test, account), *rows])
    finally:
        sources.close(earlier)


class _Printer:
    """Events to rows, each with its line end."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._fold = None if asked.as_json or asked.wanted.stage else Fold()

    @property
    def folds(self) -> bool:
        """Are the stages of a request put together?"""
        return self._fold is not None

    def rows(self, block: WholeBlock, test: Test | None, now: float) -> list[bytes]:
        """Those of the block that are asked for."""
        if self._asked.as_json:
            if test is None:
                return [each + b"\n" for each in block.lines]
            return [each + b"\n" for event, each in zip(block.events, block.lines, strict=True) if test(event)]
        wanted = block.events if test is None else [event for event in block.events if test(event)]
        if self._fold is not None:
            return [self._row(each) for event in wanted for each in self._fold.take(event, now)]
        return [self._row(event) for event in wanted]

    def overdue(self, before: float) -> list[bytes]:
        """Requests that are still being answered."""
        return [self._row(event) for event in self._fold.overdue(before)] if self._fold is not None else []

    def _row(self, event: Whole) -> bytes:
        return (line(event, colour=self._asked.colour) + "\n").encode("utf-8", "replace")
