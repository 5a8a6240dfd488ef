"""``log tail``: the events that are asked for, as they are in the log or as they come."""

from __future__ import annotations

import heapq
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path

from auditctl.compatibility import UTC, datetime_of
from auditctl.errors import UsageError
from auditctl.log import sources
from auditctl.log.damage import Damage, ReadStatistics
from auditctl.log.events import Reader
from auditctl.log.filter_values import last_moment, misspelt_resources, moment
from auditctl.log.filters import Test, compiled, needle
from auditctl.log.follow import Follower
from auditctl.log.labels import labels_of
from auditctl.log.lines import header
from auditctl.log.parallel import in_order
from auditctl.log.readers import reader
from auditctl.log.reading import WholeBlock, whole_block, whole_blocks
from auditctl.log.segments import STANDARD_INPUT, LogSegment
from auditctl.node.logfiles import log_files
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.log import tail_many
from auditctl.operations.log.tail_rows import Item, TailFormat, TailOptions, TailPrinter
from auditctl.operations.log_sources import node_log, opened
from auditctl.operations.policy_files import built_in, server_version

_POLL_SECONDS = 0.02
_HELD_SECONDS = 0.05
_LONGEST_SECONDS = 60.0
"""The server's own default --request-timeout: what was not answered by then is not held back any longer."""
_USUAL_LINES = 10


def log_tail(plane: ControlPlane, options: TailOptions) -> CommandResult:
    """Return the pieces to print; with ``follow`` they end at ``--until`` alone, and an empty one says that nothing came.

    Raises:
        UsageError: a filter is not of its form; RefusedError: a log cannot be read.
    """
    now = datetime.now(UTC)
    misspelt: tuple[str, ...] = ()
    if options.filters.resource:
        version = server_version(plane, None)
        misspelt = tuple(misspelt_resources(options.filters.resource, built_in(version), version))
        options = replace(options, filters=options.filters.with_resources(built_in(version), version))
    test = compiled(options.filters, now) if options.filters.given else None
    account = ReadStatistics()
    labels: tuple[str, ...] = ()
    # Its modules are loaded before the first line is out: Ctrl-C while Python executes the text of a module's generated
    # code ends the process by the signal, whatever catches it (Python/pythonrun.c run_eval_code_obj).
    reader()
    if options.follow:
        pieces, notes, labels = _all_followed(_logs_of(plane, options), options, test, account)
    else:
        pieces, labels = _all_read(opened(plane, options.logs), options, test, account)
        notes = ()
    matched = _Matched(pieces, account, misspelt)
    pieces = iter(matched)
    if options.header and options.form is TailFormat.LINES:
        front = tail_many.heading(labels)
        pieces = chain((front + f"{header(wide=options.wide)}\n".encode(),), pieces)
    return CommandResult(
        document={},
        pieces=pieces,
        notes=notes,
        closing_notes=account.sentences if options.follow else partial(matched.sentences, test is not None),
        closing_code=lambda: int(account.is_no_log),
        endless=options.follow,
    )


class _Matched:
    """The pieces, and whether any of them had something in it."""

    def __init__(self, pieces: Iterator[bytes], account: ReadStatistics, misspelt: tuple[str, ...]) -> None:
        self._pieces = pieces
        self._account = account
        self._misspelt = misspelt
        self._any = False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._any = self._any or bool(piece)
            yield piece

    def sentences(self, has_filters: bool) -> Iterator[str]:  # noqa: FBT001 (handed on by partial)
        """Yield what the reading met, and that the log is empty or no event matched where that is so."""
        yield from self._account.sentences()
        if not self._account.events and not self._account.is_no_log:
            yield "The log has no event."
        elif not self._any and has_filters:
            yield f"No event matches the filters; {self._account.events} events were read."
            yield from self._misspelt


def _logs_of(plane: ControlPlane, options: TailOptions) -> list[Path]:
    if STANDARD_INPUT in options.logs:
        raise UsageError("-f follows logs by their paths", fix="name the file that the API server writes")
    return [Path(name) for name in options.logs] or [node_log(plane)]


def _all_read(
    opened_logs: list[sources.LogSource], options: TailOptions, test: Test | None, account: ReadStatistics
) -> tuple[Iterator[bytes], tuple[str, ...]]:
    """Return the pieces, and the labels of the logs where there are several and lines are printed."""
    groups = tail_many.groups_of(opened_logs)
    if len(groups) == 1:
        return _read(opened_logs, options, test, account), ()
    labels, in_front = tail_many.columns(groups, are_lines=options.form is TailFormat.LINES)
    most = _USUAL_LINES if options.most is None and test is None else options.most
    streams = {label: _read(each, options, test, account) for label, each in groups.items()}
    return tail_many.merged(streams, most=most, in_front=in_front), labels


def _all_followed(
    logs: list[Path], options: TailOptions, test: Test | None, account: ReadStatistics
) -> tuple[Iterator[bytes], tuple[str, ...], tuple[str, ...]]:
    """Return the pieces, notes, and the labels of the logs where there are several and lines are printed."""
    if len(logs) == 1:
        return (*_followed(logs[0], options, test, account), ())
    named = labels_of([str(log) for log in logs])
    both = {named[str(log)]: _followed(log, options, test, account) for log in logs}
    labels, in_front = tail_many.columns(both, are_lines=options.form is TailFormat.LINES)
    pieces = tail_many.followed({label: each for label, (each, _) in both.items()}, in_front)
    return pieces, tuple(note for _, notes in both.values() for note in notes), labels


def _read(
    opened_logs: list[sources.LogSource], options: TailOptions, test: Test | None, account: ReadStatistics
) -> Iterator[bytes]:
    count = options.most
    if count is None and test is None:
        count = _USUAL_LINES
    try:
        if count is not None:
            yield b"".join(_last(opened_logs, count, TailPrinter(options), test, account))
            return
        printer, reading, known_bytes = TailPrinter(options), reader(), needle(options.filters)

        def printed(piece: LogSegment, met: ReadStatistics) -> Iterator[bytes]:
            for block in whole_blocks(piece, reading, met, known_bytes):
                now = _seconds_of(block) if printer.folds else 0.0
                rows = printer.rows(block, test, now)
                if printer.folds:
                    rows += map(printer.row, printer.overdue(now - _LONGEST_SECONDS))
                if rows:
                    yield b"".join(rows)

        # folded stages belong together wherever the file is cut: one process then
        pieces = sources.whole_pieces(opened_logs) if printer.folds else sources.pieces(opened_logs)
        yield from in_order(pieces, printed, account, 1 if printer.folds else None)
        yield b"".join(map(printer.row, printer.overdue(math.inf)))
    finally:
        sources.close(opened_logs)


def _seconds_of(block: WholeBlock) -> float:
    """Return the log's own clock."""
    with suppress(ValueError, IndexError):
        return datetime_of(block.events[-1].stage_timestamp or "").timestamp()
    return 0.0


def _last(
    opened_logs: list[sources.LogSource], count: int, printer: TailPrinter, test: Test | None, account: ReadStatistics
) -> list[bytes]:
    """Return the last rows of all: the newest file first, the older ones only as far as they are needed."""
    rows: list[bytes] = []
    reading = reader()
    for piece in reversed(sources.whole_pieces(opened_logs)):
        if len(rows) >= count:
            break
        kept: deque[Item] = deque(maxlen=count)
        for block in whole_blocks(piece, reading, account):
            kept.extend(printer.items(block, test, 0.0))
        late = printer.overdue(0.0)  # in an older file: answered in a newer one
        rows = [*map(printer.row, _merged(kept, late if not rows else ())), *rows]
    return rows[len(rows) - count :] if count < len(rows) else rows


def _merged(kept: Iterable[Item], late: Sequence[Item]) -> list[Item]:
    """Return requests without an answer yet, where their time is."""
    return list(heapq.merge(kept, late, key=_time_of)) if late else list(kept)


def _time_of(item: Item) -> str:
    return "" if isinstance(item, bytes) else item.stage_timestamp or ""


def _followed(
    log: Path, options: TailOptions, test: Test | None, account: ReadStatistics
) -> tuple[Iterator[bytes], tuple[str, ...]]:
    try:
        rotated = partial(log_files, log)
        follower = Follower(log, rotated, from_end=options.filters.since is None and not options.most)
    except OSError as error:
        raise sources.unreadable(str(log), error) from error
    notes = (f"{log} is not there yet: it is waited for",) if follower.waits else ()
    return _following(follower, log, options, test, account), notes


def _following(
    follower: Follower, log: Path, options: TailOptions, test: Test | None, account: ReadStatistics
) -> Iterator[bytes]:
    printer, reading = TailPrinter(options), reader()
    until = last_moment(options.filters.until, datetime.now(UTC)) if options.filters.until is not None else None
    with closing(follower):
        if options.filters.since is not None or options.most:
            yield from _before(options, test, account, follower, log)
        while True:
            is_over = until is not None and until < moment("", "0", datetime.now(UTC))
            now = time.monotonic()
            printed = False
            for block in _blocks(follower, log, reading, account):
                if rows := printer.rows(block, test, now):
                    printed = True
                    yield b"".join(rows)
            late = printer.overdue(now - (0.0 if is_over else _HELD_SECONDS))
            if late:
                yield b"".join(map(printer.row, late))
            elif is_over:
                return
            elif not printed:
                yield b""
                time.sleep(_POLL_SECONDS)


def _blocks(follower: Follower, log: Path, reading: Reader, account: ReadStatistics) -> Iterator[WholeBlock]:
    for each in follower.texts():
        if isinstance(each, Damage):
            account.note(str(log), each)
        else:
            yield whole_block(*each, str(log), reading, account)


def _before(
    options: TailOptions, test: Test | None, account: ReadStatistics, follower: Follower, log: Path
) -> Iterator[bytes]:
    """Yield what stands in the log already: all since a time, or the last ``most`` rows."""
    earlier = sources.open_sources(map(str, follower.earlier))
    once = replace(options, follow=False)
    if options.most is None:
        yield from _read(earlier, once, test, account)
        return
    printer = TailPrinter(once)
    kept: deque[Item] = deque(maxlen=options.most)
    for block in _blocks(follower, log, reader(), account):
        kept.extend(printer.items(block, test, 0.0))
    rows = [*map(printer.row, _merged(kept, printer.overdue(0.0)))][-options.most :]
    try:
        yield b"".join([*_last(earlier, options.most - len(rows), printer, test, account), *rows])
    finally:
        sources.close(earlier)
