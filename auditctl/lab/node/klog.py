"""Lines as Kubernetes components write them: klog's header, and Go's %q."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from enum import Enum

from auditctl.compatibility import UTC


class KlogSeverity(Enum):
    """klog's severities, by the first letter of the line."""

    INFO = "I"
    WARNING = "W"
    ERROR = "E"
    FATAL = "F"


def line(letter: KlogSeverity, place: str, text: str, pid: int | None = None) -> str:
    """Return ``E1121 21:26:27.398866       1 run.go:72] text``; time in UTC as in containers."""
    now = datetime.now(UTC)
    return f"{letter.value}{now:%m%d %H:%M:%S.%f} {os.getpid() if pid is None else pid:7d} {place}] {text}"


def quote(text: str) -> str:
    """Quote as Go's %q does for what components print: JSON's escapes, not those for HTML or beyond ASCII."""
    return json.dumps(text, ensure_ascii=False)


def write(text: str) -> None:
    """Write one line to standard error; ignore a reader that has gone away."""
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except OSError:
        pass
