"""The dress rehearsal: the node's own server is started with the audit set-up to be, and ended before it does anything.

It listens on loopback alone, its etcd is a dead address, and it has no client of the cluster. The kube-apiserver builds
its audit backend before it needs etcd (``pkg/controlplane/apiserver/config.go BuildGenericConfig``): what is wrong with
it is said within a second, and where nothing is, the last line of ``apiserver/pkg/server/options/audit.go ApplyTo``
says that too. The policy and the webhook's file, which may hold secrets, never touch a disk.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from enum import Enum
from pathlib import Path, PurePosixPath
from select import POLLIN, poll
from shutil import rmtree
from types import MappingProxyType
from typing import NamedTuple

from auditctl.errors import InterruptionError
from auditctl.facts import CrashKind
from auditctl.node.apiserver import trial_folders
from auditctl.node.apiserver.crash import Line, recognise
from auditctl.node.apiserver.process import Process

PATIENCE_SECONDS = 15.0
_SETTLED_SECONDS = 2.0  # still there so long after it had begun to configure itself: it has passed
_LISTEN_MILLISECONDS = 50
_MOST_BYTES = 256 * 1024
_MOST_READS = 64
_SPARE_MEGABYTES = 300
_DEAD_ETCD = "http://127.0.0.1:1"
_PASSED = "Using audit backend: "  # logged at -v=4 only, so `--vmodule` asks that one file for it
_BEGINS = "Version: v"
_VERSION = re.compile(r"Version: v(\d+)\.(\d+)")
_OF_AUDITING = re.compile(
    r"loading audit policy file: |initializing audit webhook: |\baudit[-_ ]\w|unexpected GroupVersion|invalid group version"
)
_OUR_STAND_INS = re.compile(r"\b(open|stat|read) /dev/(stdin|fd/\d+): ")
_PROGRAMS = ("kube-apiserver", "hyperkube")
_KILL_WITH_PARENT = 1  # PR_SET_PDEATHSIG, linux/prctl.h


class TrialStartVerdict(Enum):
    """What the node's own server makes of the audit set-up."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class TrialStartInput(NamedTuple):
    """What is rehearsed. ``words`` are the whole command line behind the program's name, but for what this room adds.

    ``policy`` and ``webhook`` are the contents of the two files, None where there is no such flag; ``names`` says how
    the server's words about paths are to be read (stand-in: real name).
    """

    binary: Path
    words: tuple[str, ...]
    policy: bytes | None = None
    webhook: bytes | None = None
    names: Mapping[str, str] = MappingProxyType({})
    webhook_name: str = "the webhook's file"


class TrialStartResult(NamedTuple):
    """The verdict; ``words`` are the server's own where it refused, else why nothing is known.

    ``crash`` is the name of the recognised pattern and ``fix`` its one next step, ``version`` what the server says of
    itself, None if it did not come to that.
    """

    verdict: TrialStartVerdict
    words: str = ""
    crash: str = ""
    fix: str = ""
    seconds: float = 0.0
    version: tuple[int, int] | None = None


def binary_of(process: Process) -> Path | None:
    """The program that a process runs, as this machine can start it; None if it is no kube-apiserver."""
    path = Path("/proc") / str(process.pid) / "exe"
    try:
        name = PurePosixPath(str(path.readlink()).removesuffix(" (deleted)")).name
    except OSError:
        return None
    return path if name in _PROGRAMS and process.alive() else None


def rehearse(
    play: TrialStartInput, interrupted: Callable[[], bool] = lambda: False, patience_seconds: float = PATIENCE_SECONDS
) -> TrialStartResult:
    """Run the play; whatever happens, no process and no file of it is left.

    Raises:
        InterruptionError: the user asked to stop; nothing was changed.
    """
    began = time.monotonic()
    trial_folders.sweep()
    spare = _spare_megabytes()
    if spare is not None and spare < _SPARE_MEGABYTES:
        return TrialStartResult(
            TrialStartVerdict.UNKNOWN, f"only {spare} MB of memory are free, and it takes about 120"
        )
    try:
        with _on_stage(play) as process:
            seen = _watched(process, began + patience_seconds, interrupted)
    except OSError as error:
        return TrialStartResult(
            TrialStartVerdict.UNKNOWN, f"{play.binary} cannot be run here: {(error.strerror or str(error)).lower()}"
        )
    return judge(seen, play)._replace(seconds=time.monotonic() - began)


class ProcessOutput(NamedTuple):
    """What was seen: the lines, whether it passed or settled, and the exit code (None: it ran until it was ended)."""

    lines: tuple[str, ...]
    passed: bool = False
    settled: bool = False
    exit_code: int | None = None


def judge(seen: ProcessOutput, play: TrialStartInput) -> TrialStartResult:
    """What it means. Pure. Only words about auditing refuse: a port, a key, etcd are the rehearsal's own troubles."""
    found = next(filter(None, map(_VERSION.search, seen.lines)), None)
    version = (int(found[1]), int(found[2])) if found else None
    if seen.passed or (seen.settled and seen.exit_code is None):
        return TrialStartResult(TrialStartVerdict.ACCEPTED, version=version)
    if seen.exit_code is None:
        return TrialStartResult(TrialStartVerdict.UNKNOWN, "it did not get far enough in time", version=version)
    last = [line for line in seen.lines if Line.of(line).is_last_words]
    crash = recognise(last)
    if crash is None:
        text = f"it ended with code {seen.exit_code}, and said nothing of why"
        return TrialStartResult(TrialStartVerdict.UNKNOWN, text, version=version)
    is_about_auditing = _OF_AUDITING.search(crash.words) is not None and _OUR_STAND_INS.search(crash.words) is None
    is_refusal = is_about_auditing and crash.kind is not CrashKind.TRANSIENT
    verdict = TrialStartVerdict.REFUSED if is_refusal else TrialStartVerdict.UNKNOWN
    return TrialStartResult(verdict, _renamed(crash.words, play), crash.name, crash.fix, version=version)


def _renamed(words: str, play: TrialStartInput) -> str:
    words = words.removesuffix(": from file /dev/stdin")
    words = re.sub(r"/dev/fd/\d+", lambda _: play.webhook_name, words)
    for stand_in, name in play.names.items():
        words = words.replace(stand_in, name)
    return words


@contextmanager
def _on_stage(play: TrialStartInput) -> Iterator[subprocess.Popen[bytes]]:
    """The server, running; afterwards it and all that it started are gone, and its folder too."""
    with ExitStack() as stack:
        folder = tempfile.mkdtemp(
            prefix=f"{trial_folders.PREFIX}{os.getpid()}-"
        )  # 0700; it generates its own certificate there
        stack.callback(rmtree, folder, ignore_errors=True)
        words = [*play.words, *_own_words(folder)]
        policy = _unwritten(stack, play.policy or b"")
        if play.policy is not None:
            words.append("--audit-policy-file=/dev/stdin")
        handed: tuple[int, ...] = ()
        if play.webhook is not None:
            handed = (_unwritten(stack, play.webhook),)
            words.append(f"--audit-webhook-config-file=/dev/fd/{handed[0]}")
        process = subprocess.Popen(
            [play.binary, *words],
            stdin=policy,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=handed,
            cwd=folder,
            env={"PATH": os.defpath, "HOME": folder},
            start_new_session=True,
            preexec_fn=_humbly(),  # noqa: PLW1509 (between fork and exec only; no thread of ours runs by then)
        )
        stack.callback(_end, process)
        yield process


def _own_words(folder: str) -> Iterator[str]:
    yield f"--etcd-servers={_DEAD_ETCD}"
    yield "--bind-address=127.0.0.1"
    yield f"--secure-port={_free_port()}"
    yield f"--cert-dir={folder}"
    yield "--vmodule=audit=4"


def _unwritten(stack: ExitStack, content: bytes) -> int:
    """A file in memory, without a name; it has no end to wait for, as a pipe would."""
    handle = os.memfd_create("auditctl-rehearsal")
    stack.callback(os.close, handle)
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]
    os.lseek(handle, 0, os.SEEK_SET)
    return handle


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _humbly() -> Callable[[], None]:
    """For the child: it gives way to all others, dies first where memory is short, and dies with us."""
    import ctypes

    die_with_us = getattr(ctypes.CDLL(None), "prctl", None)

    def prepare() -> None:
        os.nice(19)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_bytes(b"1000")
        if die_with_us is not None:
            die_with_us(_KILL_WITH_PARENT, signal.SIGKILL, 0, 0, 0)

    return prepare


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _watched(process: subprocess.Popen[bytes], deadline: float, interrupted: Callable[[], bool]) -> ProcessOutput:
    """Listen until it has passed, has ended, has settled, or the time is up."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    heard = _Heard(process.stdout.fileno())
    begun: float | None = None
    while time.monotonic() < deadline:
        if interrupted():
            raise InterruptionError("interrupted during the rehearsal; nothing was changed")
        code = process.poll()  # asked before its last words are read: none can come after
        heard.listen(0 if code is not None else _LISTEN_MILLISECONDS)
        passed = heard.says(_PASSED)
        if begun is None and heard.says(_BEGINS):
            begun = time.monotonic()
        settled = begun is not None and time.monotonic() - begun > _SETTLED_SECONDS
        if passed or settled or code is not None:
            return ProcessOutput(heard.lines, passed, settled, code)
    return ProcessOutput(heard.lines)


class _Heard:
    """What comes through a pipe. Of too much the end is kept, where the last words are."""

    def __init__(self, handle: int) -> None:
        os.set_blocking(handle, False)
        self.handle = handle
        self.raw = bytearray()
        self.lines: tuple[str, ...] = ()
        self.poller = poll()
        self.poller.register(handle, POLLIN)

    def listen(self, milliseconds: int) -> None:
        """Wait that long for something, and read what is there."""
        if not self.poller.poll(milliseconds):
            return
        with suppress(BlockingIOError):
            for _ in range(_MOST_READS):
                chunk = os.read(self.handle, _MOST_BYTES)
                if not chunk:
                    self.poller.unregister(self.handle)  # its end; polling on would not wait any more
                    break
                self.raw += chunk
                del self.raw[:-_MOST_BYTES]
        self.lines = tuple(self.raw.decode(errors="replace").splitlines())

    def says(self, beginning: str) -> bool:
        """Does a line begin so, behind klog's header?"""
        return any(Line.of(line).text.startswith(beginning) for line in self.lines)


def _spare_megabytes() -> int | None:
    with suppress(OSError):
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
        return int(found[1]) // 1024 if found else None
    return None
