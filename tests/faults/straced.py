"""The real system calls of one run, by strace: which ones change something, in which order; and faults at each of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

STRACE = shutil.which("strace")
NO_STRACE = "strace is not installed: the same faults are laid from inside the process by the tests beside this one"
CHANGING = (
    "open,openat,creat,write,writev,pwrite64,pwritev,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,"
    "chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,setxattr,lsetxattr,fsetxattr,fsync,fdatasync,truncate,"
    "ftruncate,fallocate,link,linkat,symlink,symlinkat,flock,kill,tgkill,pidfd_send_signal"
)
_SIGNALS = frozenset(["kill", "tgkill", "pidfd_send_signal"])
_ROOT = "ROOT:"
TOP = Path(__file__).parents[2]
_PATHS = re.compile(_ROOT + r'([^">]*)>(?:, "([^"/]+)")?|"' + _ROOT + r'([^"]*)"')
_KINDS = {
    "openat": "open",
    "pwrite64": "pwrite",
    "renameat": "rename",
    "renameat2": "rename",
    "unlinkat": "unlink",
    "mkdirat": "mkdir",
    "linkat": "link",
}
_LINE = re.compile(r"(?:(?P<pid>\d+) +)?(?P<name>\w+)\((?P<rest>.*)$")
_CHANGE_ID = re.compile(r"\d{8}T\d{9}Z-[0-9a-f]{4}")


class Call(NamedTuple):
    """One call that changes something: ``nth`` counts the calls of that name in that process, as `when=` does."""

    pid: int
    name: str
    nth: int
    text: str

    @property
    def place(self) -> str:
        """What it is and where, free of what differs from run to run."""
        return _CHANGE_ID.sub("ID", " ".join([self.kind, *self.paths]))

    @property
    def kind(self) -> str:
        """The call's name without what tells its arguments apart, as the tests from inside name it."""
        if self.name == "unlinkat" and "AT_REMOVEDIR" in self.text:
            return "rmdir"
        return _KINDS.get(self.name, self.name)

    @property
    def paths(self) -> list[str]:
        """The node paths that it names, by a descriptor, relative to one, or in words: two for a rename."""
        relative = self.name.endswith(("at", "at2"))  # else what follows the descriptor is what is written
        found = [
            f"{held}/{name}" if name and relative else held or word for held, name, word in _PATHS.findall(self.text)
        ]
        return found[: 2 if self.kind == "rename" else 1] or [""]  # a sentence on stderr that names the root


def program(root: Path, words: Sequence[str]) -> list[str]:
    """`python -m auditctl` with these words on this node."""
    return [sys.executable, "-m", "auditctl", "--rootfs", str(root), *(word.format(root=root) for word in words)]


def options(trace: Path, *injection: str) -> list[str]:
    """What strace is asked: changing calls alone, with paths."""
    injected = [word for each in injection for word in ("-e", f"inject={each}")]
    return ["-y", "-q", "-s", "400", "-e", f"trace={CHANGING}", "-o", str(trace), *injected]


def run(root: Path, trace: Path, words: Sequence[str], *injection: str, follow: bool = True) -> tuple[int, str]:
    """Run it under strace, with its forked children if ``follow``; exit code (negative: died of that signal) and stderr."""
    assert STRACE is not None
    # -ff would give a file for each process; without -f strace writes no pid before the call
    return _run([STRACE, *(["-f"] if follow else []), *options(trace, *injection), *program(root, words)])


def plain(root: Path, words: Sequence[str]) -> tuple[int, str]:
    """Run it without strace; stdout goes with stderr."""
    return _run(program(root, words), stdout=subprocess.PIPE)


def _run(words: list[str], stdout: int = subprocess.DEVNULL) -> tuple[int, str]:
    ran = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=TOP,
        timeout=150,
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode, ran.stderr + (ran.stdout or "")


def attach(pid: int, trace: Path, *injection: str) -> subprocess.Popen[str]:
    """Trace a process that runs already; returns when strace has it."""
    assert STRACE is not None
    tracer = subprocess.Popen(
        [STRACE, "-p", str(pid), *options(trace, *injection)], stderr=subprocess.DEVNULL, text=True
    )
    status = Path(f"/proc/{pid}/status")
    while f"TracerPid:\t{tracer.pid}" not in status.read_text() and tracer.poll() is None:
        os.sched_yield()
    return tracer


def changing_calls(trace: Path, root: Path) -> list[Call]:
    """Of a trace: the calls that change a file under ``root``, or signal a process, in order."""
    return list(_changing(trace.read_text(errors="replace"), str(root)))


def _changing(text: str, root: str) -> Iterator[Call]:
    seen: Counter[tuple[int, str]] = Counter()
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        pid, name, rest = int(match["pid"] or 0), match["name"], match["rest"]
        seen[pid, name] += 1
        if " = -1 " in rest and "(INJECTED)" not in rest:
            continue
        if name.startswith("open") and not re.search(r"O_CREAT|O_TRUNC", rest):
            continue
        if root in rest.replace("\\", "") or name in _SIGNALS:
            yield Call(pid, name, seen[pid, name], rest.replace(root, _ROOT))


def last_changing_call(trace: Path, root: Path) -> Call:
    """The one at which a killed run ended: strace shows a call that never returned as `= ?`."""
    return changing_calls(trace, root)[-1]
