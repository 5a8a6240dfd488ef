"""Why the API server died: its own last words, recognised. The patterns are data (``templates/crashes.json``)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from auditctl import facts


class Crash(NamedTuple):
    """``words`` is the server's own line; ``heals`` says whether another start could go better."""

    name: str
    words: str
    heals: bool


def recognise(lines: Sequence[str]) -> Crash | None:
    """The last fatal line of a container's log, None where none is known.

    Raises: nothing. Sources: component-base/cli/run.go; golden crashes of 1.31.14 and 1.36.2.
    """
    for line in reversed(lines):
        for fact in facts.crashes():
            if re.search(fact.pattern, line):
                return Crash(fact.name, _without_klog(line), fact.heals)
    return None


def _without_klog(line: str) -> str:
    """``E1121 21:21:44.408260 1 run.go:72] "command failed" err="..."`` -> ``...``."""
    text = re.sub(r"^[IWEF]\d{4} \S+ +\d+ [^\]]+\] ", "", line.strip())
    command_failed = re.match(r'"command failed" err="(.*)"$', text)
    return command_failed[1].replace('\\"', '"').replace("\\\\", "\\") if command_failed else text
