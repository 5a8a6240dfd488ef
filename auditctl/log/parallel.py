"""One process a core over the pieces of a log: each takes the next piece, tallies, and hands its tally over at the end."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Protocol, TypeVar

from auditctl.errors import RefusedError
from auditctl.log.segments import LogSegment
from auditctl.system import IS_LINUX


class Mergeable(Protocol):
    """What is gathered; two of them make one."""

    def absorb(self, other: Any) -> None:
        """Take in what another process gathered."""


T = TypeVar("T", bound=Mergeable)
_MOST_HELD_BYTES = 8 << 20
_TEXT = b"t"
"""Before text; nothing that is pickled begins with it."""
_NUMBER_BYTES = array("I").itemsize
_CONTEXT: Any = (  # the policy and the open logs are there already; on macOS a fork is not safe, Windows has none
    multiprocessing.get_context("fork") if IS_LINUX else None
)


def cores() -> int:
    """Return those that this process may use."""
    return len(os.sched_getaffinity(0)) if IS_LINUX else os.cpu_count() or 1


def tallied(pieces: Sequence[LogSegment], scan: Callable[[Iterable[LogSegment]], T], processes: int | None = None) -> T:
    """Return what ``scan`` makes of all pieces. A stream is read here, and alone.

    Raises:
        RefusedError: a process ended before it had handed its tally over.
    """
    process_count = min(len(pieces), processes or cores())
    if process_count < 2 or any(piece.streams for piece in pieces):
        return scan(pieces)
    if not IS_LINUX:
        return _elsewhere(pieces, scan, process_count)
    with (
        _numbers(len(pieces)) as numbers,
        _workers([partial(_scan_share, pieces, numbers, scan)] * (process_count - 1)) as pipes,
    ):
        total = scan(_share(pieces, numbers))
        for pipe in pipes:
            total.absorb(_received(pipe))
    return total


def _elsewhere(pieces: Sequence[LogSegment], scan: Callable[[Iterable[LogSegment]], T], count: int) -> T:
    """Return the same where this process is not forked. A scan that cannot be sent (a closure) is done here, alone."""
    from auditctl.log.spawn import BrokenExecutor, scans

    try:
        pickle.dumps(scan)
    except (pickle.PicklingError, AttributeError, TypeError):
        return scan(pieces)
    shares = [pieces[index::count] for index in range(count)]
    try:
        total, *others = scans(shares, scan)
    except BrokenExecutor as error:
        raise _ended_early() from error
    for other in others:
        total.absorb(other)
    return total


@contextmanager
def _numbers(count: int) -> Iterator[int]:
    """Yield a file in memory of the numbers below ``count``; each process that reads it takes the next one.

    Its position is shared, and moved under a lock (Linux 3.14). A shared value of `multiprocessing` imports ctypes.
    """
    numbers = os.memfd_create("pieces", os.MFD_CLOEXEC)
    try:
        os.write(numbers, array("I", range(count)).tobytes())
        os.lseek(numbers, 0, os.SEEK_SET)
        yield numbers
    finally:
        os.close(numbers)


@contextmanager
def _workers(tasks: Sequence[Callable[[Connection], None]]) -> Iterator[list[Connection]]:
    """Yield one process for each task, with the pipe through which it sends; they end with us."""
    workers: list[tuple[Any, Connection]] = []
    try:
        for task in tasks:
            mine, theirs = _CONTEXT.Pipe(duplex=False)
            kept = [mine, *(other for _, other in workers)]
            worker = _CONTEXT.Process(target=_guarded, args=(theirs, kept, task), daemon=True)
            worker.start()
            theirs.close()
            workers.append((worker, mine))
        yield [mine for _, mine in workers]
    finally:
        for worker, mine in workers:
            mine.close()
            worker.terminate()
            worker.join()


def _guarded(pipe: Connection, kept: Sequence[Connection], task: Callable[[Connection], None]) -> None:
    """Return what goes wrong here is told there. Ctrl-C is for the one who started us: he ends us.

    The ends to read from that the fork left us are closed: if he is killed, nobody reads, and writing tells us so.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for other in kept:
        other.close()
    try:
        task(pipe)
    except BrokenPipeError:  # the reader has gone
        return
    except Exception as error:  # noqa: BLE001 (raised again where it is received)
        with suppress(OSError):
            pipe.send(error)
    finally:
        pipe.close()


def _share(pieces: Sequence[LogSegment], numbers: int) -> Iterator[LogSegment]:
    while number := array("I", os.read(numbers, _NUMBER_BYTES)):
        yield pieces[number[0]]


def _scan_share(
    pieces: Sequence[LogSegment], numbers: int, scan: Callable[[Iterable[LogSegment]], Any], pipe: Connection
) -> None:
    pipe.send(scan(_share(pieces, numbers)))


def _received(pipe: Connection) -> Any:
    try:
        received = pipe.recv()
    except EOFError as error:
        raise _ended_early() from error
    if isinstance(received, Exception):
        raise received
    return received


def _ended_early() -> RefusedError:
    return RefusedError("a reading process ended early (out of memory?)", check="log-read", fix="try --processes 1")


def _received_text(pipe: Connection) -> bytes:
    """Text as it is: to pickle it costs as much as to read it. Nothing is the end of a piece."""
    try:
        received = pipe.recv_bytes()
    except EOFError as error:
        raise _ended_early() from error
    if received[:1] != _TEXT:
        raise pickle.loads(received)  # noqa: S301 (our own process told what went wrong)
    return received[1:]


def in_order(
    pieces: Sequence[LogSegment],
    produce: Callable[[LogSegment, T], Iterator[bytes]],
    account: T,
    processes: int | None = None,
) -> Iterator[bytes]:
    """Yield what ``produce`` makes of each piece, in the order of the pieces; each process has every n-th of them.

    What it counts is added to ``account``, which is empty and of a class that can be made without values.

    Raises:
        RefusedError: as ``tallied``.
    """
    process_count = min(len(pieces), processes or cores())
    if process_count < 2 or not IS_LINUX or any(piece.streams for piece in pieces):
        for piece in pieces:
            yield from produce(piece, account)
        return
    with _workers(
        [partial(_in_turn, pieces[index::process_count], produce, type(account)) for index in range(process_count)]
    ) as pipes:
        for index in range(len(pieces)):
            while part := _received_text(pipes[index % process_count]):
                yield part
        for pipe in pipes:
            account.absorb(_received(pipe))


def _in_turn(
    pieces: Sequence[LogSegment],
    produce: Callable[[LogSegment, T], Iterator[bytes]],
    empty: Callable[[], T],
    pipe: Connection,
) -> None:
    account = empty()
    for piece in pieces:
        parts: list[bytes] = [_TEXT]
        length = 0
        for part in produce(piece, account):
            parts.append(part)
            length += len(part)
            if length > _MOST_HELD_BYTES:
                pipe.send_bytes(b"".join(parts))
                parts, length = [_TEXT], 0
        if length:
            pipe.send_bytes(b"".join(parts))
        pipe.send_bytes(_TEXT)
    pipe.send(account)
