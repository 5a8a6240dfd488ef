"""Undo our edit in a text that a stranger has edited since: a three-way merge by lines that takes out only our lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from auditctl.errors import ManifestError


@dataclass(frozen=True, slots=True)
class Hunk:
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
    codes = SequenceMatcher(None, base, other, autojunk=False).get_opcodes()
    return [Hunk(i1, i2, tuple(other[j1:j2])) for kind, i1, i2, j1, j2 in codes if kind != "equal"]


def _collide(one: Hunk, other: Hunk) -> bool:
    """Two hunks collide where they share a line, or put different lines at one point; beside each other they do not."""
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
