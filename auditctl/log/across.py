"""One process a core over the pieces of a log: each takes the next piece, tallies, and hands its tally over at the end."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any, Protocol, TypeVar

from auditctl.errors import RefusedError
from auditctl.log.blocks import Piece
from auditctl.log.damage import Account


class Tally(Protocol):
    """What is gathered; two of them make one."""

    def absorb(self, other: Any) -> None:
        """Take in what another process gathered."""


T = TypeVar("T", bound=Tally)
_MOST_HELD_BYTES = 8 << 20


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))


def tallied(pieces: Sequence[Piece], scan: Callable[[Iterable[Piece]], T], processes: int | None = None) -> T:
    """What ``scan`` makes of all pieces. A stream is read here, and alone.

    Raises:
        RefusedError: a process ended before it had handed its tally over.
    """
    wanted = min(len(pieces), processes or cores())
    if wanted < 2 or any(piece.streams for piece in pieces):
        return scan(pieces)
    context = multiprocessing.get_context("fork")  # the policy and the open logs are there already
    following = context.Value("q", 0)
    workers = []
    try:
        for _ in range(wanted - 1):
            mine, theirs = context.Pipe(duplex=False)
            worker = context.Process(target=_work, args=(theirs, pieces, following, scan), daemon=True)
            worker.start()
            theirs.close()
            workers.append((worker, mine))
        total = scan(_share(pieces, following))
        for _, mine in workers:
            total.absorb(_received(mine))
    finally:
        for worker, mine in workers:
            mine.close()
            worker.terminate()
            worker.join()
    return total


def _share(pieces: Sequence[Piece], following: Any) -> Iterator[Piece]:
    while True:
        with following.get_lock():
            index = following.value
            following.value += 1
        if index >= len(pieces):
            return
        yield pieces[index]


def _work(pipe: Connection, pieces: Sequence[Piece], following: Any, scan: Callable[[Iterable[Piece]], Any]) -> None:
    try:
        pipe.send(scan(_share(pieces, following)))
    except KeyboardInterrupt:
        return
    finally:
        pipe.close()


def _received(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except EOFError as error:
        raise RefusedError(
            "a reading process ended early (out of memory?)", check="log-read", fix="try --processes 1"
        ) from error


def in_order(
    pieces: Sequence[Piece],
    work: Callable[[Piece, Account], Iterator[bytes]],
    account: Account,
    processes: int | None = None,
) -> Iterator[bytes]:
    """What ``work`` makes of each piece, in the order of the pieces; each process has every n-th of them.

    Raises:
        RefusedError: as ``tallied``.
    """
    wanted = min(len(pieces), processes or cores())
    if wanted < 2 or any(piece.streams for piece in pieces):
        for piece in pieces:
            yield from work(piece, account)
        return
    context = multiprocessing.get_context("fork")
    workers = []
    try:
        for index in range(wanted):
            mine, theirs = context.Pipe(duplex=False)
            worker = context.Process(target=_in_turn, args=(theirs, pieces[index::wanted], work), daemon=True)
            worker.start()
            theirs.close()
            workers.append((worker, mine))
        for index in range(len(pieces)):
            while part := _received(workers[index % wanted][1]):
                yield part
        for _, mine in workers:
            account.absorb(_received(mine))
    finally:
        for worker, mine in workers:
            mine.close()
            worker.terminate()
            worker.join()


def _in_turn(pipe: Connection, pieces: Sequence[Piece], work: Callable[[Piece, Account], Iterator[bytes]]) -> None:
    account = Account()
    try:
        for piece in pieces:
            parts: list[bytes] = []
            length = 0
            for part in work(piece, account):
                parts.append(part)
                length += len(part)
                if length > _MOST_HELD_BYTES:
                    pipe.send(b"".join(parts))
                    parts, length = [], 0
            if parts:
                pipe.send(b"".join(parts))
            pipe.send(b"")
        pipe.send(account)
    except (KeyboardInterrupt, OSError):  # the reader has gone
        return
    finally:
        pipe.close()
