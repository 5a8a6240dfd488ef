"""Defer signals during a change: it is finished or undone first, and a lost terminal changes nothing."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], None] | signal.Handlers


@contextmanager
def while_asking() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt while a person is asked: nothing was changed yet, nothing to put back.

    SIGHUP stays ignored: a read from a terminal that is gone ends by itself.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def deferred(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Note SIGINT and SIGTERM, ignore signals of the terminal; yield whether one of the two has come.

    Ctrl-Z would stop the run with the lock in its hand: nobody would put back what fails meanwhile.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (the shape of a handler)
        received.append(number)
        if len(received) == 1:
            say("interrupted: restoring the old configuration first; another signal has no effect")

    handlers: dict[int, Handler] = {
        signal.SIGINT: note,
        signal.SIGTERM: note,
        signal.SIGHUP: signal.SIG_IGN,
        signal.SIGPIPE: signal.SIG_IGN,
        signal.SIGTSTP: signal.SIG_IGN,
        signal.SIGTTOU: signal.SIG_IGN,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
