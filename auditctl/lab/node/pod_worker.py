"""The life of one Pod: mounts, container, back-off, end (pkg/kubelet/pod_workers.go)."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from auditctl.compatibility import UTC
from auditctl.lab.node import container, klog, pod_traces, volumes
from auditctl.lab.node.backoff import Backoff, go_duration
from auditctl.lab.node.container import Container
from auditctl.lab.node.klog import KlogSeverity
from auditctl.lab.node.layout import Layout, Timing
from auditctl.lab.node.static_pod import StaticPod
from auditctl.lab.node.volumes import VolumeError

MOUNT_RETRY_SECONDS = 0.5  # doubled up to two minutes by the real kubelet, up to two seconds here
MOUNT_RETRY_CAP_SECONDS = 2.0


class PodPhase(Enum):
    """Where the Pod stands; WAITING is before a container, or between two."""

    WAITING = "waiting"
    RUNNING = "running"
    STOPPING = "stopping"
    GONE = "gone"


@dataclass(slots=True, kw_only=True)
class PodWorker:
    """One Pod with one UID. ``tick`` is called often, with the monotonic time in seconds."""

    pod: StaticPod
    layout: Layout
    pace: Timing
    backoff: Backoff
    say: Callable[[str], None] = klog.write
    phase: PodPhase = PodPhase.WAITING
    running: Container | None = None
    _next: float = 0.0  # when to try again
    _ended: float | None = None  # when the container last ended
    _mount_wait: float = MOUNT_RETRY_SECONDS
    _kill_at: float = 0.0

    def tick(self, now: float) -> None:
        match self.phase:
            case PodPhase.WAITING if now >= self._next:
                self._start(now)
            case PodPhase.RUNNING if self.running is not None and self.running.poll() is not None:
                self._crashed(now)
            case PodPhase.STOPPING:
                self._await_end(now)
            case _:
                pass

    def stop(self, now: float, grace_seconds: float | None = None) -> None:
        """SIGTERM now, SIGKILL after the Pod's grace period (or the one given)."""
        if self.phase in (PodPhase.STOPPING, PodPhase.GONE):
            return
        grace = self.pod.grace_seconds if grace_seconds is None else grace_seconds
        self._kill_at = now + (self.pace.grace if grace is None else grace)
        self.phase = PodPhase.STOPPING
        if self.running is None:
            self.phase = PodPhase.GONE
        elif self.running.poll() is None:
            self._log(KlogSeverity.INFO, "kuberuntime_container.go:863", "Killing container with a grace period")
            self.running.send(signal.SIGTERM)

    def _await_end(self, now: float) -> None:
        if self.running is None or self.running.poll() is not None:
            self.phase = PodPhase.GONE
        elif now >= self._kill_at:
            self.running.send(signal.SIGKILL)

    def _start(self, now: float) -> None:
        if self._unrunnable():
            self._next = now + self.pace.backoff_cap
            return
        try:
            binds = volumes.set_up(self.pod, self.layout.host)
        except VolumeError as error:
            self._mount_failed(error, now)
            return
        number = container.next_number(self.layout, self.pod)
        try:
            self.running = container.start(self.layout, self.pod, number, binds, self.pace)
            pod_traces.appear(self.layout, self.pod, self.running.process.pid)
        except OSError as error:  # no memory, no descriptors, or the folder is being removed
            self._log(KlogSeverity.ERROR, "auditctl-lab", "Could not start the container", str(error))
            self._next = now + self.pace.backoff
            return
        if self._ended is not None:
            self.backoff.restarted(self._key, self._ended, now)
        self.phase = PodPhase.RUNNING
        words = f"Started container, a stand-in for kube-apiserver v{self.pod.kubernetes}, restart {number}"
        self._log(KlogSeverity.INFO, "auditctl-lab", words)

    def _unrunnable(self) -> bool:
        """Only kube-apiserver has a stand-in; anything else is said and left alone."""
        program = self.pod.command[0].rpartition("/")[2] if self.pod.command else ""
        if program == "kube-apiserver":
            return False
        reason = f'failed to "StartContainer": the auditctl lab runs only kube-apiserver, not {klog.quote(program)}'
        self._log(KlogSeverity.ERROR, "pod_workers.go:1324", "Error syncing pod, skipping", reason)
        return True

    def _crashed(self, now: float) -> None:
        """The first restart at once, then a doubling back-off that counts from the end. One dead container is kept."""
        if self.running is not None:
            container.forget_before(self.layout, self.pod, self.running.number)
        delay = self.backoff.delay(self._key, now)
        self.running, self.phase, self._ended, self._next = None, PodPhase.WAITING, now, now + delay
        if delay:
            place = f"container={self.pod.container} pod={self.pod.name}_{self.pod.namespace}({self.pod.uid})"
            words = f"back-off {go_duration(delay)} restarting failed {place}"
            inner = f'failed to "StartContainer" for {klog.quote(self.pod.container)} with CrashLoopBackOff: '
            self._log(
                KlogSeverity.ERROR, "pod_workers.go:1324", "Error syncing pod, skipping", inner + klog.quote(words)
            )

    def _mount_failed(self, error: VolumeError, now: float) -> None:
        wait, uid = self._mount_wait, self.pod.uid
        self._next, self._mount_wait = now + wait, min(wait * 2, MOUNT_RETRY_CAP_SECONDS)
        unique = f"kubernetes.io/host-path/{uid}-{error.volume}"
        until = datetime.fromtimestamp(datetime.now(UTC).timestamp() + wait, UTC)
        self.say(
            klog.line(
                KlogSeverity.ERROR,
                "nestedpendingoperations.go:348",
                f'Operation for "{{volumeName:{unique} podName:{uid} nodeName:}}" failed. No retries permitted until '
                f"{until:%Y-%m-%d %H:%M:%S.%f} +0000 UTC (durationBeforeRetry {wait * 1000:g}ms). "
                f'Error: MountVolume.SetUp failed for volume "{error.volume}" (UniqueName: "{unique}") '
                f'pod "{self.pod.name}" (UID: "{uid}") : {error.message}',
            )
        )

    @property
    def _key(self) -> str:
        return f"{self.pod.uid}/{self.pod.container}"

    def _log(self, letter: KlogSeverity, place: str, message: str, reason: str = "") -> None:
        error = f" err={klog.quote(reason)}" if reason else ""
        pod = f'pod="{self.pod.namespace}/{self.pod.name}" podUID="{self.pod.uid}"'
        self.say(klog.line(letter, place, f"{klog.quote(message)}{error} {pod}"))
