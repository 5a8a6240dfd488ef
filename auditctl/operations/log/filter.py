"""``log filter``: a log as an API server with another policy would have written it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from auditctl.errors import UsageError
from auditctl.log import sources
from auditctl.log.damage import Damage
from auditctl.log.follow import Follower
from auditctl.log.parallel import in_order
from auditctl.log.policy_filter import FilterCounts, PolicyFilter
from auditctl.log.readers import reader
from auditctl.log.reading import EventBlock, blocks, event_block
from auditctl.log.segments import STANDARD_INPUT, LogSegment
from auditctl.node.logfiles import log_files
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.log_sources import node_log, opened
from auditctl.operations.policy_files import read_policy, server_version
from auditctl.printable import printable_json
from auditctl.report import finding_line

_POLL_SECONDS = 0.02
TextOfBlock = Callable[[EventBlock, FilterCounts], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFilterOptions:
    """The options of ``log filter``; ``terminal``: what a terminal would obey is written as an escape."""

    policy: str
    logs: tuple[str, ...] = ()
    kubernetes: str | None = None
    follow: bool = False
    terminal: bool = False
    processes: int | None = None


def log_filter(plane: ControlPlane, options: PolicyFilterOptions) -> CommandResult:
    """Return the pieces to print: the events that the policy records, cut to its levels.

    Raises:
        PolicyError: the server would refuse the policy; RefusedError: a log cannot be read.
        UsageError: more than one log is to be followed.
    """
    named = read_policy(options.policy, server_version(plane, options.kubernetes))
    cutting, counts = PolicyFilter(named.policy, reader()), FilterCounts()

    def text_of(block: EventBlock, met: FilterCounts) -> bytes:
        lines = cutting.lines(block, met)
        return b"\n".join((*(map(printable_json, lines) if options.terminal else lines), b""))

    pieces = (_followed if options.follow else _read)(plane, options, text_of, counts)
    return CommandResult(
        document={},
        pieces=pieces,
        notes=tuple(finding_line(finding) for finding in named.findings),
        closing_notes=lambda: _sentences(counts, named.name),
        closing_code=lambda: int(counts.account.is_no_log),
        endless=options.follow,
    )


def _sentences(counts: FilterCounts, policy: str) -> Iterator[str]:
    yield from counts.account.sentences()
    yield f"{counts.kept} of {counts.kept + counts.dropped} events are recorded under {policy}"
    if counts.poorer:
        yield (
            f"{counts.poorer} of them were recorded at a lower level than that of {policy}: "
            "their level is kept, as their bodies are not in the log"
        )


def _read(
    plane: ControlPlane, options: PolicyFilterOptions, text_of: TextOfBlock, counts: FilterCounts
) -> Iterator[bytes]:
    """Return the text of all logs in time order; a log that cannot be opened is an error before the first piece."""
    logs = opened(plane, options.logs)

    def texts(piece: LogSegment, met: FilterCounts) -> Iterator[bytes]:
        return (text_of(block, met) for block in blocks(piece, reader(), met.account))

    def each() -> Iterator[bytes]:
        try:
            yield from filter(None, in_order(sources.pieces(logs), texts, counts, options.processes))
        finally:
            sources.close(logs)

    return each()


def _followed(
    plane: ControlPlane, options: PolicyFilterOptions, text_of: TextOfBlock, counts: FilterCounts
) -> Iterator[bytes]:
    """Return the text of one log from its beginning, then of what is appended; an empty one where nothing came for now."""
    if len(options.logs) > 1 or STANDARD_INPUT in options.logs:
        raise UsageError("-f follows one log, by its path", fix="name the file that the API server writes")
    log = Path(options.logs[0]) if options.logs else node_log(plane)
    try:
        follower = Follower(log, partial(log_files, log), from_end=False)
    except OSError as error:
        raise sources.unreadable(str(log), error) from error

    def each() -> Iterator[bytes]:
        with closing(follower):
            while True:
                is_idle = True
                for text in follower.texts():
                    is_idle = False
                    if isinstance(text, Damage):
                        counts.account.note(str(log), text)
                    elif written := text_of(event_block(*text, str(log), reader(), counts.account), counts):
                        yield written
                if is_idle:
                    yield b""
                    time.sleep(_POLL_SECONDS)

    return each()
