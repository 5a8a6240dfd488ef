"""Short names for the logs of several nodes: where their paths first differ. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ENDINGS = re.compile(r"(\.gz|\.log|\.jsonl|\.json|\.tally)+$")
_ROTATED = re.compile(r"-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}$")


def labels_of(names: Sequence[str]) -> dict[str, str]:
    """Return a label for each path of a log; the rotated files of one log have one label.

    ``logs/cp1/audit.log`` and ``logs/cp2/audit.log`` are ``cp1`` and ``cp2``, ``cp1.log`` and ``cp2.log`` as well.
    """
    parts = {name: _parts(name) for name in names}
    shared = 0
    while len(columns := {each[shared : shared + 1] for each in parts.values()}) == 1 and columns != {()}:
        shared += 1
    last = {name: each[-1] for name, each in parts.items()}
    return {name: "".join(each[shared : shared + 1]) or last[name] for name, each in parts.items()}


def _parts(name: str) -> tuple[str, ...]:
    """Return the parts of a path, the last one without its endings and the time of a rotation."""
    *folders, file = re.split(r"[/\\]", name)
    stem = _ROTATED.sub("", _ENDINGS.sub("", file))
    return (*folders, stem or file)
