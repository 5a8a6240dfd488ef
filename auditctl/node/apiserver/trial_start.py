"""The trial start: the node's own server is started with the audit set-up to be, and ended before it does anything.

It has no rights, no network but loopback, and no secret of the cluster; its etcd is a dead address. The kube-apiserver builds
its audit backend before it needs etcd (``pkg/controlplane/apiserver/config.go BuildGenericConfig``): what is wrong with
it is said within a second, and where nothing is, the last line of ``apiserver/pkg/server/options/audit.go ApplyTo``
says that too. The policy and the webhook's file, which may hold secrets, never touch a disk; its keys are made for it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from select import POLLIN, poll
from shutil import rmtree
from typing import NamedTuple

from auditctl.errors import InterruptionError
from auditctl.facts import CrashKind
from auditctl.node.apiserver import trial_binary, trial_rights
from auditctl.node.apiserver.crash import Line, recognise
from auditctl.node.apiserver.trial_binary import Binary

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


class TrialStartVerdict(Enum):
    """What the node's own server makes of the audit set-up."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStartInput:
    """What is rehearsed. ``words`` are the whole command line behind the program's name, but for what this room adds.

    ``policy`` and ``webhook`` are the contents of the two files, None where there is no such flag; ``names`` says how
    the server's words about paths are to be read (stand-in: real name). ``contents`` are other files: its user, who may
    read none of the node's, gets what stands there in place of the path (the whole value of a flag or of a JSON string).
    """

    binary: Binary
    words: tuple[str, ...]
    policy: bytes | None = None
    webhook: bytes | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    webhook_name: str = "the webhook's file"
    contents: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStartResult:
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


def rehearse(
    play: TrialStartInput, interrupted: Callable[[], bool] = lambda: False, patience_seconds: float = PATIENCE_SECONDS
) -> TrialStartResult:
    """Run the play; whatever happens, no process and no file of it is left.

    Raises:
        InterruptionError: the user asked to stop; nothing was changed.
    """
    began = time.monotonic()
    trial_binary.sweep_folders()
    spare = _spare_megabytes()
    if spare is not None and spare < _SPARE_MEGABYTES:
        return _unknown(f"only {spare} MB of memory are free, and it takes about 120")
    try:
        with ExitStack() as stack:
            handed = _hand_over(stack, play)
            process = _started(stack, handed)
            output = _watched(process, began + patience_seconds, interrupted)
    except (OSError, subprocess.SubprocessError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        return _unknown(f"{play.binary.name} cannot be run here: {why}")
    return replace(judge(output, handed.play), seconds=time.monotonic() - began)


def _unknown(words: str, version: tuple[int, int] | None = None) -> TrialStartResult:
    return TrialStartResult(verdict=TrialStartVerdict.UNKNOWN, words=words, version=version)


class ProcessOutput(NamedTuple):
    """What was seen: the lines, whether it passed or settled, and the exit code (None: it ran until it was ended)."""

    lines: tuple[str, ...]
    passed: bool = False
    settled: bool = False
    exit_code: int | None = None


def judge(output: ProcessOutput, play: TrialStartInput) -> TrialStartResult:
    """Return the verdict. Pure. Only words about auditing refuse: a port, a key, etcd are the trial's own trouble."""
    match = next(filter(None, map(_VERSION.search, output.lines)), None)
    version = (int(match[1]), int(match[2])) if match else None
    if output.passed or (output.settled and output.exit_code is None):
        return TrialStartResult(verdict=TrialStartVerdict.ACCEPTED, version=version)
    if output.exit_code is None:
        return _unknown("it did not get far enough in time", version)
    crash = recognise([line for line in output.lines if Line.of(line).is_last_words])
    if crash is None:
        return _unknown(f"it ended with code {output.exit_code}, and said nothing of why", version)
    is_about_auditing = _OF_AUDITING.search(crash.words) is not None and _OUR_STAND_INS.search(crash.words) is None
    refused = is_about_auditing and crash.kind is not CrashKind.TRANSIENT
    verdict = TrialStartVerdict.REFUSED if refused else TrialStartVerdict.UNKNOWN
    return TrialStartResult(
        verdict=verdict, words=_renamed(crash.words, play), crash=crash.name, fix=crash.fix, version=version
    )


def _renamed(words: str, play: TrialStartInput) -> str:
    words = words.removesuffix(": from file /dev/stdin")
    for stand_in, name in play.names.items():
        words = name.join(re.split(rf"{re.escape(stand_in)}(?!\d)", words))
    return words


class _Handed(NamedTuple):
    """A play whose files are open: its words and names are of descriptors. The policy is standard input."""

    play: TrialStartInput
    policy: int
    descriptors: tuple[int, ...]


def _hand_over(stack: ExitStack, play: TrialStartInput) -> _Handed:
    """Put every content into a file in memory, and its descriptor where its path stood."""
    words, webhook, names, descriptors = list(play.words), play.webhook or b"", dict(play.names), list[int]()
    for path, content in play.contents.items():
        descriptors.append(_unwritten(stack, content))
        stand_in = f"/dev/fd/{descriptors[-1]}"
        words = [re.sub(rf"={re.escape(path)}$", f"={stand_in}", word) for word in words]
        webhook = webhook.replace(json.dumps(path).encode(), json.dumps(stand_in).encode())
        names[stand_in] = names.pop(path, path)
    policy = _unwritten(stack, play.policy or b"")
    if play.policy is not None:
        words.append("--audit-policy-file=/dev/stdin")
    if play.webhook is not None:
        descriptors.append(_unwritten(stack, webhook))
        names[f"/dev/fd/{descriptors[-1]}"] = play.webhook_name
        words.append(f"--audit-webhook-config-file=/dev/fd/{descriptors[-1]}")
    return _Handed(replace(play, words=tuple(words), names=names), policy, tuple(descriptors))


def _started(stack: ExitStack, handed: _Handed) -> subprocess.Popen[bytes]:
    """Start the server; when the stack ends it and all that it started are gone, and its folder too."""
    binary, user = handed.play.binary, trial_rights.lesser_user()
    # 0700 and ours; within it is the server's own folder, in which it starts, for the certificate that it generates
    outer = tempfile.mkdtemp(prefix=f"{trial_binary.PREFIX}{os.getpid()}-")
    stack.callback(rmtree, outer, ignore_errors=True)
    folder = Path(outer, "own")
    folder.mkdir(mode=0o700)
    if user is not None:
        os.chown(folder, user, user)
    process = subprocess.Popen(
        [binary.name, *handed.play.words, *_own_words(handed.play.words)],
        executable=binary.path,
        stdin=handed.policy,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(binary.descriptor, *handed.descriptors),
        cwd=folder,
        env={"PATH": os.defpath, "HOME": "/nonexistent"},
        start_new_session=True,
        preexec_fn=trial_rights.give_up(user),  # noqa: PLW1509 (between fork and exec only; no thread of ours runs by then)
    )
    stack.callback(trial_rights.end_all_of, user)
    stack.callback(_end, process)
    return process


def _own_words(words: Sequence[str]) -> Iterator[str]:
    yield f"--etcd-servers={_DEAD_ETCD}"
    yield "--bind-address=127.0.0.1"
    yield f"--secure-port={_free_port()}"
    yield "--cert-dir=."  # its user may not walk through the folders above
    yield "--vmodule=audit=4"
    if not any(word.startswith("--advertise-address=") for word in words):
        # else it looks for a route, and in a network of its own there is none; the family must be the services'
        is_v6 = any(re.match(r"--service-cluster-ip-range=[^,.]*:", word) for word in words)
        yield f"--advertise-address={'2001:db8::1' if is_v6 else '192.0.2.1'}"


def _unwritten(stack: ExitStack, content: bytes) -> int:
    """Return a file in memory, without a name; unlike a pipe it needs nobody who writes its end."""
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
        """Tell whether a line begins with these words, behind klog's header."""
        return any(Line.of(line).text.startswith(beginning) for line in self.lines)


def _spare_megabytes() -> int | None:
    with suppress(OSError):
        match = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
        return int(match[1]) // 1024 if match else None
    return None
