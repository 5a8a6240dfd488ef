"""Wait until the kubelet has restarted the API server: identity first, then health. Every wait has a deadline.

Identity: the process that owns the listening socket of ``--secure-port``, started after the rename, with the manifest's
command line. A health check alone can be answered by the old process, a mirror Pod can show the old state as Running.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import InterruptionError
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.client import Endpoint, Readiness
from auditctl.node.apiserver.crash import KUBELET, Crash
from auditctl.node.apiserver.credentials import Credentials
from auditctl.node.apiserver.process import Process, apiservers, listener, listening_inodes, owns, untrusted_listener
from auditctl.node.change.files import Root
from auditctl.node.clock import Clock
from auditctl.node.kubelet import kubelet_log
from auditctl.node.kubelet.diagnosis_attempts import Attempts
from auditctl.node.kubelet.kubelet_log import KubeletLog
from auditctl.node.kubelet.pod_logs import PodName
from auditctl.node.preflight import node_checks
from auditctl.node.trusted_process import owner_of

_POLL_SECONDS = 0.1
_LISTENING_POLL_SECONDS = 0.03  # the new server listens: each look longer is outage that is told too late
_JOURNAL_EVERY_SECONDS = 1.0  # each look starts a program
# After an undo the process of the old configuration may never have been stopped. The kubelet acts on an event within
# two seconds (pod worker and housekeeping); one that still listens after this long was left alone.
_LEFT_ALONE_SECONDS = 6.0
_EARLIER_SECONDS = 600.0  # the kubelet says again within two minutes that it cannot mount a volume
_CLOCK_TICK_SECONDS = 0.02  # /proc/PID/stat counts in ticks of 10 ms


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartTarget:
    """Whom we wait for: a process started after ``renamed_at`` (seconds of the boot clock) that is not ``before``.

    After an undo also one that was never stopped: started before ``or_started_before``, and still listening a while
    after. One that was started in between runs with what was put back meanwhile, whatever its command line says.
    ``failing_before`` are checks of ``/readyz`` that failed before the change already: not ours, and not waited for.
    """

    command: Sequence[str]
    renamed_at: float
    endpoint: Endpoint
    credentials: Credentials
    before: Process | None = None
    or_started_before: float | None = None
    failing_before: frozenset[str] = frozenset()


class Restarted(NamedTuple):
    """The new process serves. ``seconds`` since the rename; ``outage`` seconds without a serving API server.

    ``failing`` are checks of ``/readyz`` that fail still, as they did before the change.
    """

    process: Process
    seconds: float
    outage: float
    failing: tuple[str, ...] = ()


class Failed(NamedTuple):
    """It did not come up: why, the words of the server or the kubelet where they left any, seconds without a server."""

    reason: str
    crash: Crash | None
    outage: float

    def __str__(self) -> str:
        """One line: what, where in the user's own file, in whose words."""
        return f"{self.reason}: {self.crash}" if self.crash else self.reason


@dataclass(slots=True)
class OutgoingProcess:
    """The process of the configuration that goes, held by pidfd from before the rename: a pid cannot be mistaken."""

    process: Process
    descriptor: int
    silent_since: float | None = None
    killed: bool = False

    @classmethod
    def hold(cls, process: Process | None) -> OutgoingProcess | None:
        if process is None:
            return None
        with suppress(OSError):
            return cls(process, os.pidfd_open(process.pid))
        return None

    def drain(self, port: int, seconds: float, now: float) -> None:
        """Once it listens no more, give it ``seconds`` for its open requests, then end it. Never while it listens."""
        if self.killed or seconds <= 0:
            return
        if not self.process.alive() or owns(self.process.pid, listening_inodes(port)):
            self.silent_since = None
            return
        self.silent_since = now if self.silent_since is None else self.silent_since
        if now - self.silent_since >= seconds:
            with suppress(OSError):
                signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)
            self.killed = True

    def release(self) -> None:
        os.close(self.descriptor)


@dataclass(slots=True, kw_only=True)
class RestartWaiter:
    """One wait: the clocks, the tellers, and what was seen so far.

    ``waited_before`` are seconds of the same wait that were spent before `wait`.
    """

    root: Root
    manifest: Manifest
    clock: Clock
    tell: Callable[[str, float], None]
    interrupted: Callable[[], bool] = lambda: False
    attempts: Attempts | None = None
    log: KubeletLog | None = None
    refusal: Crash | None = None
    waited_before: float = 0.0
    _failing: tuple[str, ...] = ()
    _dark_since: float | None = None
    _dark_seconds: float = 0.0
    _since: float = field(default=0.0)

    @classmethod
    def begin(
        cls,
        root: Root,
        manifest: Manifest,
        clock: Clock,
        tell: Callable[[str, float], None],
        interrupted: Callable[[], bool] = lambda: False,
    ) -> RestartWaiter:
        """Remember which container logs there are, and where the kubelet's ends: what comes later is of the change."""
        pod = PodName.of(manifest)
        is_broken = listener(manifest.secure_port, manifest) is None
        attempts = Attempts.from_now(root, pod, broken=is_broken)
        path = root.node(Path(manifest.document.name))
        now = clock.utc().timestamp()
        log = KubeletLog.begin(root, path, pod, since=now)
        if is_broken:
            earlier = kubelet_log.uids(root, path, pod, now - _EARLIER_SECONDS)
            log.ignored_uids = earlier | ({attempts.ignored_uid} - {""})
        return cls(
            root=root, manifest=manifest, clock=clock, tell=tell, interrupted=interrupted, attempts=attempts, log=log
        )

    def wait(
        self, expected: RestartTarget, *, timeout: float, drain: float, outgoing: OutgoingProcess | None
    ) -> Restarted | Failed:
        """Wait until the expected process serves.

        Raises:
            InterruptionError: the user asked to stop; nothing was undone yet.
        """
        self._since = self.clock.monotonic()
        if self.log is not None:  # until the rename it speaks of the manifest that goes
            self.log.since = self.clock.utc().timestamp() - (self.clock.boot() - expected.renamed_at)
        while (passed := self.clock.monotonic() - self._since) < timeout:
            if self.interrupted():
                raise InterruptionError("interrupted while waiting for the API server")
            process = listener(expected.endpoint.port, self.manifest)
            serving = self._serves(process, expected, passed)
            self._count_outage(process, serving=serving)
            if serving and process is not None:
                return Restarted(process, self.clock.boot() - expected.renamed_at, self._dark_seconds, self._failing)
            if outgoing is not None:
                outgoing.drain(expected.endpoint.port, drain, self.clock.monotonic())
            crash = self.crash()
            if crash is not None and not crash.heals and expected.or_started_before is None:
                return Failed(_refuser(crash), self._placed(crash), self.outage())
            self.tell(self._purpose(process, expected, crash), passed)
            listens = process is not None and process.started >= expected.renamed_at
            self.clock.sleep(_LISTENING_POLL_SECONDS if listens else _POLL_SECONDS)
        return self._too_late(expected, f"the API server was not ready within {timeout + self.waited_before:.0f} s")

    def _too_late(self, expected: RestartTarget, text: str) -> Failed:
        """Who serves instead, or what the newest words are that may be the cause."""
        process = listener(expected.endpoint.port, self.manifest)
        stranger = untrusted_listener(expected.endpoint.port, self.manifest) if process is None else None
        if stranger is not None:
            return Failed(f"{text}: {stranger.on(expected.endpoint.port)}", None, self.outage())
        if process is None or not process.runs(expected.command):
            strays = node_checks.strays(self.root, Path(self.manifest.document.name), self.manifest)
            why = f"{strays[0]} defines the same Pod, and of equal names the last wins" if strays else ""
            if process is not None:
                why = why or "the kubelet has not acted on the manifest"
                why += f" (process {process.pid} runs with another command line)"
            if why:
                return Failed(f"{text}: {why}", None, self.outage())
        return Failed(text, self._placed(self.crash()), self.outage())

    def outage(self) -> float:
        """Seconds without a serving API server, up to now."""
        ongoing = self.clock.monotonic() - self._dark_since if self._dark_since is not None else 0.0
        return self._dark_seconds + ongoing

    def count_listener(self, port: int) -> None:
        """Count a moment without a server as outage; for who waits for something else before `wait`."""
        self._count_outage(listener(port, self.manifest), serving=False)

    def crash(self) -> Crash | None:
        """What the newest container, or the kubelet that makes none, has said since this watch began."""
        container = self.attempts.look() if self.attempts is not None else None
        for refusal in self.log.look(_JOURNAL_EVERY_SECONDS) if self.log is not None else ():
            if refusal.outweighs(self.refusal):
                self.refusal = refusal
        if container is None or (container.heals and self.refusal is not None and not self.refusal.heals):
            return self.refusal
        return container

    def _placed(self, crash: Crash | None) -> Crash | None:
        """With the place in the user's own file; only for the end of a wait: it reads files."""
        if crash is None:
            return None
        from auditctl.node.kubelet.diagnosis_evidence import texts
        from auditctl.node.kubelet.diagnosis_place import placed

        return placed(crash, texts(self.root, Path(self.manifest.document.name), self.manifest))

    def _serves(self, process: Process | None, expected: RestartTarget, passed: float) -> bool:
        if process is None or not process.runs(expected.command):
            return False
        is_before = expected.before is not None and process.identity == expected.before.identity
        started_since = process.started >= expected.renamed_at - _CLOCK_TICK_SECONDS and not is_before
        left_alone = expected.or_started_before is not None and process.started < expected.or_started_before
        if not started_since and not (left_alone and passed >= _LEFT_ALONE_SECONDS):
            return False
        health = expected.endpoint.health(expected.credentials)
        self._failing = health.failing
        as_before = bool(health.failing) and expected.failing_before.issuperset(health.failing)
        return health.readiness is Readiness.READY or as_before

    def _count_outage(self, process: Process | None, *, serving: bool) -> None:
        now = self.clock.monotonic()
        if process is None and self._dark_since is None:
            self._dark_since = now
        if serving and self._dark_since is not None:
            self._dark_seconds += now - self._dark_since
            self._dark_since = None

    def _purpose(self, process: Process | None, expected: RestartTarget, crash: Crash | None) -> str:
        if crash is not None:
            return f"{'the kubelet says' if crash.says == KUBELET else 'the new API server died'}: {crash.words}"
        if process is None:
            return "the old API server has stopped; waiting for the kubelet to start the new one"
        if process.runs(expected.command) and process.started >= expected.renamed_at - _CLOCK_TICK_SECONDS:
            return "the new API server listens; waiting for /readyz"
        return "waiting for the kubelet to stop the old API server"


def _refuser(crash: Crash) -> str:
    return "the kubelet refuses the change" if crash.says == KUBELET else "the API server refuses to start"


def end_in_place(process: Process) -> None:
    """Ask the process to end, so that the kubelet restarts its container in the same Pod (with new single-file mounts)."""
    with suppress(OSError):
        descriptor = os.pidfd_open(process.pid)
        try:
            if process.alive():
                signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        finally:
            os.close(descriptor)


def any_other(manifest: Manifest, port: int) -> Process | None:
    """Return the kube-apiserver that runs the manifest's command but does not listen: the one that hangs after a failed change."""
    inodes = listening_inodes(port)
    for process in apiservers(owner_of(manifest)):
        if process.runs(manifest.command) and not owns(process.pid, inodes):
            return process
    return None
