"""``log tail`` over the logs of several nodes: one stream in the order of time, each line with the name of its log."""

from __future__ import annotations

import heapq
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import count, islice

from auditctl.log.labels import labels_of
from auditctl.log.sources import LogSource
from auditctl.printable import printable

_STAMP = re.compile(rb'(?:^|"stageTimestamp":\s*")(?:\x1b\[[0-9;]*m)?(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.0-9]*)')
_EMPTY = b""
_HEADING = "LOG"


def groups_of(sources: Sequence[LogSource]) -> Mapping[str, list[LogSource]]:
    """Return the logs by their labels; standard input and pipes are all of one group, for they cannot wait."""
    if any(source.streams for source in sources):
        return {"": list(sources)}
    labels = labels_of([source.name for source in sources])
    groups: dict[str, list[LogSource]] = {}
    for source in sources:
        groups.setdefault(labels[source.name], []).append(source)
    return groups


def columns(labels: Iterable[str], *, are_lines: bool) -> tuple[tuple[str, ...], Callable[[str], bytes]]:
    """Return the labels, and what writes one in front of a line; none where events are printed as they are in the log."""
    shown = tuple(labels) if are_lines else ()
    width = max(map(len, (*shown, _HEADING)))
    return shown, lambda label: f"{printable(label):{width}}  ".encode() if shown else _EMPTY


def heading(labels: Iterable[str]) -> bytes:
    """Return the head of the column of labels; nothing where there are none."""
    shown, in_front = columns(labels, are_lines=True)
    return in_front(_HEADING) if shown else _EMPTY


def merged(
    groups: Mapping[str, Iterator[bytes]], *, most: int | None, in_front: Callable[[str], bytes]
) -> Iterator[bytes]:
    """Yield the lines of several streams in the order of time, the last ``most`` where that is a number."""
    streams = [_rows(pieces, in_front(label)) for label, pieces in groups.items()]
    rows = (row for _, row in heapq.merge(*streams, key=lambda pair: pair[0]))
    if most is not None:
        yield b"".join(deque(rows, maxlen=most))
        return
    while piece := b"".join(islice(rows, 500)):
        yield piece


def followed(groups: Mapping[str, Iterator[bytes]], in_front: Callable[[str], bytes]) -> Iterator[bytes]:
    """Yield what each stream brings, in turns; an empty piece where none has brought anything."""
    with ExitStack() as stack:
        running = dict(groups)
        for each in running.values():
            stack.callback(_close, each)
        for turn in count():
            if not running:
                return
            label = list(running)[turn % len(running)]
            piece = next(running[label], None)
            if piece is None:
                del running[label]
                continue
            yield b"".join(in_front(label) + row for row in piece.splitlines(keepends=True)) if piece else _EMPTY


def _close(pieces: Iterator[bytes]) -> None:
    """End a generator, so that it gives its file back."""
    close = getattr(pieces, "close", None)
    if close is not None:
        close()


def _rows(pieces: Iterator[bytes], front: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield each line with its time; one without stays behind the line before it."""
    stamp = _EMPTY
    for piece in pieces:
        for row in piece.splitlines(keepends=True):
            if match := _STAMP.search(row):
                stamp = match[1].replace(b"T", b" ")
            yield stamp, front + row
