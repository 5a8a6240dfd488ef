"""The kubelet's own log, where alone a refused Pod leaves a word: a file behind its stderr, else the journal, else unknown.

Read without kubectl and crictl, while the API server is down; each look reads only what is new, and never much.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from auditctl.compatibility import UTC
from auditctl.node import trusted_process
from auditctl.node.apiserver.crash import KUBELET, Crash, Line, recognised
from auditctl.node.change.files import Root, open_regular
from auditctl.node.kubelet.pod_logs import PodName
from auditctl.node.programs import program
from auditctl.patterns import lazily

TAIL_BYTES = 512 * 1024
_PROC = Path("/proc")
_LOCALTIME = Path("/etc/localtime")
_PROGRAM = "kubelet"
_UNIT = "kubelet"
_FALLBACK = "/var/log/kubelet.log"  # where init scripts without systemd put it
_JOURNAL_SECONDS = 2.0
_JOURNAL_LINES = 2000
# An event that the API server did not take is logged whole, and again every 10 s with a new time stamp, until it does
# (client-go tools/record/event.go recordEvent): it may be of a Pod that has long been replaced. What the new Pod suffers
# from stands in a line of the kubelet's own, too.
_EVENT = lazily(r"(?<= )event=\"?&?Event.*")
_UID = lazily(r"\b[0-9a-f]{32}\b")  # of a static Pod: the MD5 of its manifest (pkg/kubelet/config/common.go)


class RunningKubelet(NamedTuple):
    """The running kubelet. ``log`` is a path that opens the file behind its stderr or stdout, None if that is no file."""

    pid: int
    argv: tuple[str, ...]
    log: Path | None


def find(root: Root) -> RunningKubelet | None:
    """Return the kubelet of this node: on the host a trusted one, under ``--rootfs`` one that was started from there.

    One of a container on this machine (kind) is another node's, and a name alone makes no kubelet.
    """
    for entry in sorted(_PROC.glob("[0-9]*"), key=lambda entry: int(entry.name)):
        if not _is_trusted(root, int(entry.name)):
            continue  # before its command line is read, which can block
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().removesuffix(b"\0").split(b"\0")
            argv = tuple(word.decode(errors="surrogateescape") for word in words)
            if _is_kubelet_of(root, argv):
                return RunningKubelet(int(entry.name), argv, _log_behind(entry))
    return None


def _is_trusted(root: Root, pid: int) -> bool:
    """Is the process root's (under ``--rootfs``: ours, too), and on the host in no container?"""
    doubt = trusted_process.user_doubt(pid, trusted_process.ROOT)
    return not (doubt or (root.is_host and trusted_process.host_doubt(pid)))


def _is_kubelet_of(root: Root, argv: tuple[str, ...]) -> bool:
    if root.is_host:
        return PurePosixPath(argv[0]).name == _PROGRAM
    inside = f"{root.path.resolve()}/"
    return any(PurePosixPath(word).name == _PROGRAM and word.startswith(inside) for word in argv[:2])


def _log_behind(entry: Path) -> Path | None:
    for number in ("2", "1"):
        with suppress(OSError):
            link = entry / "fd" / number
            if stat.S_ISREG(link.stat().st_mode):
                return link
    return None


@dataclass(slots=True)
class Appended:
    """A file of which each look returns the whole lines that are new: from its end on, or from ``tail_bytes`` before it."""

    path: Path
    tail_bytes: int = 0
    _identity: tuple[int, int] | None = None
    _offset: int = 0
    _rest: bytes = b""

    def __post_init__(self) -> None:
        """Begin where the file ends now."""
        with suppress(OSError):
            status = self.path.stat()
            self._identity = status.st_dev, status.st_ino
            self._offset = max(0, status.st_size - self.tail_bytes)

    def lines(self) -> list[str]:
        """What was appended since the last look; of very much the end alone."""
        try:
            with os.fdopen(open_regular(self.path), "rb") as file:
                status = os.fstat(file.fileno())
                if (status.st_dev, status.st_ino) != self._identity or status.st_size < self._offset:
                    self._identity, self._offset, self._rest = (status.st_dev, status.st_ino), 0, b""
                if status.st_size == self._offset:
                    return []
                self._offset = max(self._offset, status.st_size - TAIL_BYTES)
                new = os.pread(file.fileno(), TAIL_BYTES, self._offset)
        except OSError:
            return []
        self._offset += len(new)
        *whole, self._rest = (self._rest + new).split(b"\n")
        return [line.decode(errors="replace") for line in whole]


def stamp(wall_seconds: float) -> str:
    """A wall-clock time as klog writes it (``MMDD HH:MM:SS.ffffff``): texts of one year compare like times.

    In the machine's own time zone, which the kubelet has; a TZ of our shell's is not the kubelet's.
    """
    return f"{datetime.fromtimestamp(wall_seconds, _machine_zone()):%m%d %H:%M:%S.%f}"


def _machine_zone() -> tzinfo:
    from zoneinfo import ZoneInfo

    with suppress(OSError, ValueError), _LOCALTIME.open("rb") as file:
        return ZoneInfo.from_file(file)
    return UTC


@dataclass(slots=True, kw_only=True)
class KubeletLog:
    """What the kubelet says of one manifest and its Pod since a moment.

    ``since`` is wall-clock seconds; ``ignored_uids`` are Pods of older manifests, whose complaints are not of this one.
    ``source`` is where it was read: a path, ``journal``, or empty where nothing could be.
    """

    manifest: str
    pod: PodName
    since: float
    source: str = ""
    ignored_uids: frozenset[str] = frozenset()
    _file: Appended | None = None
    _is_believed: Callable[[], bool] = lambda: True
    _read_at: float = field(default=0.0)

    @classmethod
    def begin(cls, root: Root, manifest: str, pod: PodName, *, since: float, tail_bytes: int = 0) -> KubeletLog:
        """Find the log. ``manifest`` is the node's path of it; ``tail_bytes`` is how far back to look."""
        source = find(root)
        path = source.log if source is not None else None
        if path is None and not _has_journal(root) and root.followed(_FALLBACK).is_file():
            path = root.followed(_FALLBACK)
        log = cls(
            manifest=manifest,
            pod=pod,
            since=since,
            source=_shown(path) if path else "journal" if _has_journal(root) else "",
        )
        log._file = Appended(path, tail_bytes) if path is not None else None
        if source is not None:
            pid = source.pid  # its log is a link of this number's, which may become another process's
            log._is_believed = lambda: _is_trusted(root, pid)
        return log

    def look(self, every_seconds: float = 0.0) -> list[Crash]:
        """What is new (a journal: all since ``since``, asked at most every so often) and means something."""
        return [crash for line in self._new_lines(every_seconds) if (crash := self._judged(line)) is not None]

    def _new_lines(self, every_seconds: float) -> list[str]:
        if self._file is not None:
            return self._file.lines() if self._is_believed() else []
        now = time.monotonic()
        if self.source != "journal" or now - self._read_at < every_seconds:
            return []
        self._read_at = now
        return list(_journal(self.since))

    def _judged(self, raw: str) -> Crash | None:
        if not self._is_about_us(raw):
            return None
        line = Line.of(_EVENT.sub("", raw))
        is_bad_news = line.severity in ("W", "E", "F") and line.stamp >= stamp(self.since)
        return recognised(line, KUBELET) if is_bad_news else None

    def _is_about_us(self, raw: str) -> bool:
        if any(uid in raw for uid in self.ignored_uids):
            return False
        directory = self.manifest.rpartition("/")[0]
        about = (
            rf"{re.escape(self.manifest)}(?![\w.~-])|{re.escape(self.pod.name)}-|path=\"?{re.escape(directory)}/?\"?$"
        )
        return re.search(about, raw.rstrip()) is not None


def uids(root: Root, manifest: str, pod: PodName, since: float) -> frozenset[str]:
    """Return the UIDs of the Pods that the kubelet's log names with this manifest's Pod, up to now.

    A Pod whose volumes cannot be mounted never gets a container, so its UID is in no name of a container's log.
    """
    log = KubeletLog.begin(root, manifest, pod, since=since, tail_bytes=TAIL_BYTES)
    lines = (line for line in log._new_lines(0.0) if pod.name in line)  # noqa: SLF001 - of this very module
    return frozenset(uid for line in lines for uid in _UID.findall(line))


def _shown(path: Path) -> str:
    with suppress(OSError):
        return str(path.readlink()) if path.is_symlink() else str(path)
    return str(path)


def _has_journal(root: Root) -> bool:
    return root.is_host and Path("/run/systemd/system").is_dir()


def _journal(since: float) -> Iterator[str]:
    """The kubelet's lines in the journal, within a time limit; nothing where there is no journal."""
    import subprocess

    journalctl = program("journalctl")
    if journalctl is None:
        return
    command = [journalctl, "-u", _UNIT, "-o", "cat", "--no-pager", "-q"]
    command += ["--since", f"@{since:.0f}", "-n", str(_JOURNAL_LINES)]
    with suppress(OSError, subprocess.SubprocessError):
        ran = subprocess.run(command, capture_output=True, timeout=_JOURNAL_SECONDS, check=False)
        yield from ran.stdout.decode(errors="replace").splitlines()
