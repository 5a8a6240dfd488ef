"""Run one Pod from its start to its end: mounts, container, back-off, traces (pkg/kubelet/pod_workers.go).

The back-off is that of pkg/kubelet/kuberuntime/kuberuntime_manager.go doBackOff and client-go util/flowcontrol/backoff.go.
Measured on a real 1.36.3: the first restart is at once, then 10, 20, 40 s after the exit; a Pod that is restored byte for
byte has its old UID and its old delay, although its logs begin at 0.log again. What a Pod has on the node is a control group
with its processes, and a folder: a worker that is through removes the control group, the kubelet's clean-up the folder some
time later (pkg/kubelet/kubelet.go SyncTerminatedPod, pkg/kubelet/kubelet_pods.go HandlePodCleanups).
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from auditctl.compatibility import UTC
from auditctl.lab.node import container, klog, volumes
from auditctl.lab.node.container import Container
from auditctl.lab.node.klog import KlogSeverity
from auditctl.lab.node.layout import Layout, Timing
from auditctl.lab.node.static_pod import StaticPod
from auditctl.lab.node.volumes import VolumeError
from auditctl.node.change.files import make_directories


@dataclass(slots=True)
class Backoff:
    """Delays by key, in seconds: ``first``, doubled with every start up to ``cap``, forgotten after two caps of quiet.

    A key is a Pod's UID and a container's name. All times are of one monotonic clock.
    """

    first: float
    cap: float
    _entries: dict[str, tuple[float, float]] = field(default_factory=dict)  # key: delay, when it was last doubled

    def delay(self, key: str, ended: float) -> float:
        """Return how long after its end at ``ended`` the container may start again; 0 is at once."""
        delay, updated = self._entries.get(key, (0.0, ended))
        return 0.0 if ended - updated > 2 * self.cap else delay

    def restarted(self, key: str, ended: float, now: float) -> None:
        """Note that the container that ended at ``ended`` starts again ``now``: the next time it takes longer."""
        delay = self.delay(key, ended)
        self._entries[key] = (min(delay * 2, self.cap) if delay else min(self.first, self.cap), now)


def go_duration(seconds: float) -> str:
    """Return a duration as Go prints it: ``10s``, ``2m40s``, ``300ms``."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:g}m{rest:g}s" if minutes else f"{rest:g}s"


def appear(layout: Layout, pod: StaticPod, pid: int) -> None:
    """Make the control group of the Pod's container with this process in it, and the Pod's folder."""
    make_directories(layout.pod_folders / pod.uid, 0o755)
    container = layout.control_groups / f"pod{pod.uid}" / pod.container
    make_directories(container, 0o755)
    (container / "cgroup.procs").write_text(f"{pid}\n")


def complete(layout: Layout, pod: StaticPod) -> None:
    """Remove the control group of a Pod that is terminated."""
    shutil.rmtree(layout.control_groups / f"pod{pod.uid}", ignore_errors=True)


def clean_up(layout: Layout, running: frozenset[str]) -> None:
    """Remove the folders of Pods that do not run any more; ``running`` are UIDs."""
    if layout.pod_folders.is_dir():
        for folder in layout.pod_folders.iterdir():
            if folder.name not in running:
                shutil.rmtree(folder, ignore_errors=True)


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
        """Send SIGTERM now, SIGKILL after the Pod's grace period (or the one given)."""
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
            appear(self.layout, self.pod, self.running.process.pid)
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
        """Tell whether the program has no stand-in (all but kube-apiserver), and log it."""
        program = self.pod.command[0].rpartition("/")[2] if self.pod.command else ""
        if program == "kube-apiserver":
            return False
        reason = f'failed to "StartContainer": the auditctl lab runs only kube-apiserver, not {klog.quote(program)}'
        self._log(KlogSeverity.ERROR, "pod_workers.go:1324", "Error syncing pod, skipping", reason)
        return True

    def _crashed(self, now: float) -> None:
        """Restart at once the first time, then after a doubling back-off from the end. One dead container is kept."""
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
