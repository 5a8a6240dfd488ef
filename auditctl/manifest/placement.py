"""Where a new entry of a list or mapping goes: in order if there is one, never between an item and its comment."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from auditctl.facts import Version
from auditctl.manifest.lines import TextLines

# kubeadm sorted defaults and extra arguments together before kubernetes#135400; the first patch releases with it
# (CHANGELOG-1.32 to 1.35: cherry-picks #135850-#135853), 1.36 and later have it from the start
APPENDING_KUBEADM = {(1, 32): 12, (1, 33): 8, (1, 34): 4, (1, 35): 1}
FIRST_APPENDING_MINOR = (1, 36)


def kubeadm_sorts(version: Version | None) -> bool:
    """Tell whether kubeadm of that version sorts extra arguments among its own; for an unknown version it may."""
    if version is None:
        return True
    minor = version[:2]
    return minor < FIRST_APPENDING_MINOR and version[2] < APPENDING_KUBEADM.get(minor, 1 << 30)


def in_order(names: Sequence[str]) -> bool:
    """Tell whether ``names`` are sorted."""
    return all(one <= other for one, other in pairwise(names))


def sorted_position(names: Sequence[str], new: str) -> int:
    """Return the index before which ``new``, which is none of them, goes in sorted ``names``."""
    return sum(name < new for name in names)


def clean_position(
    desired: int, preferred: Sequence[int], allowed: Sequence[int], spans: Sequence[tuple[int, int]], lines: TextLines
) -> int:
    """Return the position nearest to ``desired`` where no comment stands directly above or below.

    ``spans`` are the entries' lines (first, behind the last); position ``i`` is directly behind entry ``i - 1`` (0:
    directly before the first). Only ``allowed`` positions count, the ``preferred`` among them first. Upward comes
    before downward. Where every position touches a comment, it is the last one.
    """
    for choice in (preferred, allowed):
        up = sorted((position for position in choice if position <= desired), reverse=True)
        for position in [*up, *sorted(choice)]:
            line = line_of(position, spans)
            if not lines.is_comment(line - 1) and not lines.is_comment(line):
                return position
    return max(allowed)


def line_of(position: int, spans: Sequence[tuple[int, int]]) -> int:
    """Return the line before which an entry at ``position`` is written."""
    return spans[position - 1][1] if position else spans[0][0]
