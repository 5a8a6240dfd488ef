"""New interpreters that scan shares of a log, on a system where a process is not forked."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from auditctl.log.segments import LogSegment

__all__ = ["BrokenExecutor", "scans"]

T = TypeVar("T")


def scans(shares: Sequence[Sequence[LogSegment]], scan: Callable[[Iterable[LogSegment]], T]) -> list[T]:
    """Return what ``scan`` makes of each share; each new interpreter opens the logs by their names.

    Raises:
        BrokenExecutor: a process ended early.
    """
    with ProcessPoolExecutor(len(shares), mp_context=get_context("spawn"), initializer=_end_at_interrupt) as pool:
        return list(pool.map(scan, shares))


def _end_at_interrupt() -> None:
    """End without a traceback at Ctrl-C, which every process of the terminal gets."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
