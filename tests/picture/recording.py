"""A run of the command line on the practice node, as a terminal shows it: typed words, and the screen after each."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

COLUMNS = 104
NODE = "node"  # in the folder of the recording
POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  resources: [{group: coordination.k8s.io, resources: [leases]}]
- level: Metadata
"""
FILES = {"p.yaml": POLICY, "typo.yaml": POLICY.replace("Metadata", "MetaData")}
SESSION = (
    ("lab", "up", NODE),
    ("enable", "--policy", "typo.yaml", "--rootfs", NODE),
    ("enable", "--policy", "p.yaml", "--rootfs", NODE),
    ("disable", "--purge", "--rootfs", NODE),
)
_UNSEEN = ("lab", "down", NODE)
_ESCAPE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")


class Run(NamedTuple):
    """One piece of a line in one style: the parameters of its SGR escape, ``1`` or ``32``; empty is plain."""

    style: str
    text: str


Line = tuple[Run, ...]


class Step(NamedTuple):
    """What was typed, what was seen, how it ended."""

    typed: str
    lines: tuple[Line, ...]
    code: int


def record() -> tuple[Step, ...]:
    """Run the session in a folder of its own, which is gone afterwards; its path is short, for it is in the picture."""
    with tempfile.TemporaryDirectory(prefix="", dir="/tmp") as folder:
        for name, text in FILES.items():
            Path(folder, name).write_text(text)
        try:
            return tuple(_step(words, folder) for words in SESSION)
        finally:
            _on_a_terminal(_UNSEEN, folder)


def _step(words: tuple[str, ...], folder: str) -> Step:
    code, raw = _on_a_terminal(words, folder)
    screen = tuple(line for line in seen(raw.replace(folder, "/tmp/lab")) if line)
    return Step(" ".join(["auditctl", *words]), screen, code)


def _on_a_terminal(words: tuple[str, ...], folder: str) -> tuple[int, str]:
    """Run `auditctl` with a terminal of COLUMNS; its exit code, and all that it wrote."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    environment = {name: text for name, text in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    run = subprocess.Popen(
        [sys.executable, "-m", "auditctl", *words],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env={**environment, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(theirs)
    written = b"".join(_until_closed(ours))
    os.close(ours)
    return run.wait(), written.decode()


def _until_closed(descriptor: int) -> Iterator[bytes]:
    try:
        while part := os.read(descriptor, 65536):
            yield part
    except OSError:  # EIO: the other end is gone
        return


def seen(written: str) -> list[Line]:
    """What stands on the screen in the end: colours, line ends, and the two escapes of the live line."""
    rows: list[list[tuple[str, str]]] = [[]]
    at, column, style = 0, 0, ""
    for match in _ESCAPE.finditer(written):
        parameters, letter, back, down, text = match.groups()
        if back:
            column = 0
        elif down:
            at += 1
            rows += [[]] if at == len(rows) else []
        elif text:
            row = rows[at]
            row[column : column + len(text)] = [(style, one) for one in text]
            column += len(text)
        elif letter == "m":
            style = "" if parameters in ("", "0") else parameters
        elif letter == "K":
            rows[at] = []
        elif letter == "A":
            at -= int(parameters or 1)
    return [_runs(row) for row in rows]


def _runs(row: list[tuple[str, str]]) -> Line:
    grouped = groupby(row, key=lambda cell: cell[0])
    return tuple(Run(style, "".join(text for _, text in cells)) for style, cells in grouped)
