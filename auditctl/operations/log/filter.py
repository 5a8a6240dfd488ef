"""``log filter``: a log as an API server with another policy would have written it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import UsageError
from auditctl.log import sources
from auditctl.log.damage import Damage, ReadStatistics
from auditctl.log.follow import Follower
from auditctl.log.policy_filter import PolicyFilter
from auditctl.log.readers import reader
from auditctl.log.reading import EventBlock, blocks, event_block
from auditctl.log.segments import STANDARD_INPUT
from auditctl.node.logfiles import log_files
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.log_sources import node_log, opened
from auditctl.operations.policy_files import read_policy, server_version
from auditctl.printable import printable_json
from auditctl.report import finding_line

_POLL_SECONDS = 0.02


class PolicyFilterOptions(NamedTuple):
    """The options of ``log filter``; ``terminal``: what a terminal would obey is written as an escape."""

    policy: str
    logs: tuple[str, ...] = ()
    kubernetes: str | None = None
    follow: bool = False
    terminal: bool = False


def log_filter(plane: ControlPlane, options: PolicyFilterOptions) -> CommandResult:
    """Return the pieces to print: the events that the policy records, cut to its levels.

    Raises:
        PolicyError: the server would refuse the policy; RefusedError: a log cannot be read.
        UsageError: more than one log is to be followed.
    """
    named = read_policy(options.policy, server_version(plane, options.kubernetes))
    account, cutting = ReadStatistics(), PolicyFilter(named.policy, reader())
    read = _followed(plane, options, account) if options.follow else _read(plane, options, account)

    def notes() -> Iterator[str]:
        yield from account.sentences()
        yield f"{cutting.kept} of {cutting.kept + cutting.dropped} events are recorded under {named.name}"
        if cutting.poorer:
            yield (
                f"{cutting.poorer} of them were recorded at a lower level than that of {named.name}: "
                "their level is kept, as their bodies are not in the log"
            )

    return CommandResult(
        document={},
        pieces=_pieces(read, cutting, printable_json if options.terminal else bytes),
        notes=tuple(finding_line(finding) for finding in named.findings),
        closing_notes=notes,
        endless=options.follow,
    )


def _pieces(
    read: Iterator[EventBlock | None], cutting: PolicyFilter, spelled: Callable[[bytes], bytes]
) -> Iterator[bytes]:
    """Yield the lines of each block; an empty piece where nothing came for now."""
    for block in read:
        if block is None:
            yield b""
        elif text := b"".join(spelled(line) + b"\n" for line in cutting.lines(block)):
            yield text


def _read(plane: ControlPlane, options: PolicyFilterOptions, account: ReadStatistics) -> Iterator[EventBlock]:
    """Return the blocks of all logs in time order; a log that cannot be opened is told before the first piece."""
    sources_read = opened(plane, options.logs)

    def each() -> Iterator[EventBlock]:
        try:
            for piece in sources.whole_pieces(sources_read):
                yield from blocks(piece, reader(), account)
        finally:
            sources.close(sources_read)

    return each()


def _followed(
    plane: ControlPlane, options: PolicyFilterOptions, account: ReadStatistics
) -> Iterator[EventBlock | None]:
    """Return the blocks of one log from its beginning, then what is appended, across rotation."""
    if len(options.logs) > 1 or STANDARD_INPUT in options.logs:
        raise UsageError("-f follows one log, by its path", fix="name the file that the API server writes")
    log = Path(options.logs[0]) if options.logs else node_log(plane)
    try:
        follower = Follower(log, partial(log_files, log), from_end=False)
    except OSError as error:
        raise sources.unreadable(str(log), error) from error

    def each() -> Iterator[EventBlock | None]:
        with closing(follower):
            while True:
                is_idle = True
                for text in follower.texts():
                    is_idle = False
                    if isinstance(text, Damage):
                        account.note(str(log), text)
                    else:
                        yield event_block(*text, str(log), reader(), account)
                if is_idle:
                    yield None
                    time.sleep(_POLL_SECONDS)

    return each()
