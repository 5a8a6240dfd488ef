"""Signals during a change: finish or undo first. Losing the terminal never changes what happens to the node."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], None] | signal.Handlers


@contextmanager
def deferred(say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Note SIGINT and SIGTERM instead of dying of them, ignore SIGHUP and SIGPIPE; yield "was I asked to stop?"."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (the shape of a handler)
        if not asked:
            say("stopping: putting the node back first; another signal changes nothing")
        asked.append(number)

    handlers: dict[int, Handler] = {
        signal.SIGINT: note,
        signal.SIGTERM: note,
        signal.SIGHUP: signal.SIG_IGN,
        signal.SIGPIPE: signal.SIG_IGN,
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
