"""Undo our edit in a text that a stranger has edited since: a three-way merge by lines that takes out only our lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from auditctl.errors import ManifestError


class Hunk(NamedTuple):
    """Replace the lines from ``start`` up to ``end`` of the base by ``lines``."""

    start: int
    end: int
    lines: tuple[str, ...]


def undo(before: str, after: str, current: str) -> str:
    """Return ``current`` without what the edit from ``before`` to ``after`` brought, and with what it took out.

    All three are whole texts. Raises ManifestError where the stranger changed the very lines that we did.
    """
    if current == after:
        return before
    base = _lines(after)
    ours, theirs = _hunks(base, _lines(before)), _hunks(base, _lines(current))
    for our in ours:
        for their in theirs:
            if our != their and _collide(our, their):
                raise ManifestError(
                    f"line {our.start + 1} of our edit was changed since: it cannot be undone on its own",
                    check="merge-conflict",
                    fix="take the audit flags and mounts out with `auditctl disable`, or edit the manifest by hand",
                )
    return "".join(_merged(base, sorted({*ours, *theirs}, key=lambda hunk: (hunk.start, hunk.end))))


def _lines(text: str) -> list[str]:
    return [line for line in re.split("(?<=\n)", text) if line]


def _hunks(base: Sequence[str], other: Sequence[str]) -> list[Hunk]:
    """Return the fewest changes that make ``other`` of ``base``.

    difflib looks for the longest run of equal lines, not for the fewest changes, and is misled by lines that recur
    (``readOnly: true``); so this is the longest common subsequence, on the part between equal beginning and end.
    """
    first = _equal_beginning(base, other)
    last = _equal_beginning(base[first:][::-1], other[first:][::-1])
    middle, others = base[first : len(base) - last], other[first : len(other) - last]
    lengths = _lengths(middle, others)
    hunks: list[Hunk] = []
    i = j = 0
    while i < len(middle) or j < len(others):
        start, begin = i, j
        while (i < len(middle) or j < len(others)) and not _pairs(middle, others, i, j):
            down = i < len(middle) and lengths[i + 1][j] == lengths[i][j]
            i, j = (i + 1, j) if down else (i, j + 1)
        if (i, j) != (start, begin):
            hunks.append(Hunk(first + start, first + i, tuple(others[begin:j])))
        i, j = i + 1, j + 1
    return hunks


def _pairs(one: Sequence[str], other: Sequence[str], i: int, j: int) -> bool:
    return i < len(one) and j < len(other) and one[i] == other[j]


def _equal_beginning(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many lines both begin with."""
    return next(
        (number for number, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
        min(len(one), len(other)),
    )


def _lengths(one: Sequence[str], other: Sequence[str]) -> list[list[int]]:
    """Return how long the longest common subsequence of ``one[i:]`` and ``other[j:]`` is, for every i and j."""
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i in range(len(one) - 1, -1, -1):
        for j in range(len(other) - 1, -1, -1):
            equal = one[i] == other[j]
            table[i][j] = table[i + 1][j + 1] + 1 if equal else max(table[i + 1][j], table[i][j + 1])
    return table


def _collide(one: Hunk, other: Hunk) -> bool:
    """Tell whether two hunks share a line, or put different lines at one point."""
    if one.start == one.end == other.start == other.end:
        return True
    return one.start < other.end and other.start < one.end


def _merged(base: Sequence[str], hunks: Sequence[Hunk]) -> list[str]:
    lines: list[str] = []
    position = 0
    for hunk in hunks:
        lines += [*base[position : hunk.start], *hunk.lines]
        position = hunk.end
    return [*lines, *base[position:]]
