"""A mini kubelet: keeps the static Pods of one lab folder running, in the foreground, until told to stop.

Differs from the real one, knowingly: one container a Pod, hostPath only, no probes, no mirror Pod, no API; a poll
instead of inotify; shorter times (`layout.Timing`). It ends by itself when its folder disappears.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from auditctl.lab.node import container, klog, pod_worker
from auditctl.lab.node.container import Container
from auditctl.lab.node.injected_faults import Faults
from auditctl.lab.node.klog import KlogSeverity
from auditctl.lab.node.layout import STAND_IN, Layout, Marker
from auditctl.lab.node.manifest_directory import ManifestSource
from auditctl.lab.node.pod_worker import Backoff, PodPhase, PodWorker
from auditctl.lab.node.process import ChildProcess, end, identify
from auditctl.lab.node.static_pod import StaticPod
from auditctl.lab.node.yaml_reader import read

TICK_SECONDS = 0.1  # the stand-in for inotify looks this often
SHUTDOWN_GRACE_SECONDS = 0.1  # `lab down` waits for nobody


class _Waiting(NamedTuple):
    """A Pod that waits until the one of the same name has ended."""

    uid: str
    next_look: float


@dataclass(slots=True, kw_only=True)
class PracticeKubelet:
    """``source`` says what should run; ``workers`` are what runs, by namespace/name."""

    layout: Layout
    marker: Marker
    source: ManifestSource
    workers: dict[str, PodWorker] = field(default_factory=dict)
    stopping: bool = False
    backoff: Backoff = field(init=False)  # outlives the Pods: it is kept by UID
    _waiting: dict[str, _Waiting] = field(default_factory=dict)  # by name: Pods whose predecessor has not ended
    _orphans: list[tuple[Container, float]] = field(default_factory=list)  # and when they are killed

    def __post_init__(self) -> None:
        self.backoff = Backoff(self.marker.pace.backoff, self.marker.pace.backoff_cap)

    def run(self) -> None:
        """Run until SIGTERM or SIGINT, or until the folder is another one or gone."""
        folder, next_listing = _identity(self.layout.root), 0.0
        while not self.stopping and _identity(self.layout.root) == folder and self.layout.marker.exists():
            now, faults = time.monotonic(), Faults.load(self.layout)
            if not faults.kubelet_idle:
                self.source.watch()
                if now >= next_listing:
                    self.source.list()
                    next_listing = now + self.marker.pace.listing
                self.step(now, faults)
            time.sleep(TICK_SECONDS)
        self._shut_down()

    def step(self, now: float, faults: Faults) -> None:
        """Bring what runs one step nearer to what should run."""
        pod_worker.clean_up(self.layout, frozenset(worker.pod.uid for worker in self.workers.values()))
        for key, worker in list(self.workers.items()):
            desired = self.source.desired.get(key)
            if desired is None or desired.uid != worker.pod.uid:
                self._replace(worker, now, faults.held_port_seconds)
            worker.tick(now)
            if worker.phase is PodPhase.GONE:
                del self.workers[key]
                container.forget(self.layout, worker.pod)
                pod_worker.complete(self.layout, worker.pod)
        for key, pod in self.source.desired.items():
            self._start(key, pod, now)
        for orphan, kill_at in list(self._orphans):
            if now >= kill_at:
                orphan.send(signal.SIGKILL)
            if orphan.poll() is not None:
                self._orphans.remove((orphan, kill_at))

    def _start(self, key: str, pod: StaticPod, now: float) -> None:
        """Start a Pod when it comes; while another of its name ends, look again only every so often (allowPodStart)."""
        worker = self.workers.get(key)
        if worker is not None and worker.pod.uid == pod.uid:
            self._waiting.pop(key, None)
            return
        waiting = self._waiting.get(key)
        if waiting is not None and waiting.uid == pod.uid and now < waiting.next_look:
            return
        if worker is not None:
            self._waiting[key] = _Waiting(pod.uid, now + self.marker.pace.replace)
            return
        self._waiting.pop(key, None)
        self.workers[key] = PodWorker(pod=pod, layout=self.layout, pace=self.marker.pace, backoff=self.backoff)

    def _replace(self, worker: PodWorker, now: float, held_port_seconds: float) -> None:
        """End the Pod; or, as a fault, forget it while its server lives on (kubernetes#82512)."""
        if held_port_seconds and worker.running is not None and worker.phase is PodPhase.RUNNING:
            self._orphans.append((worker.running, now + held_port_seconds))
            worker.running = None
        worker.stop(now)

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _shut_down(self) -> None:
        """End the containers, unlike the real kubelet: a lab leaves nothing behind."""
        deadline = time.monotonic() + SHUTDOWN_GRACE_SECONDS + 5
        for worker in self.workers.values():
            worker.stop(time.monotonic(), SHUTDOWN_GRACE_SECONDS)
        for orphan, _ in self._orphans:
            orphan.send(signal.SIGKILL)
            orphan.poll()
        while (
            any(worker.phase is not PodPhase.GONE for worker in self.workers.values()) and time.monotonic() < deadline
        ):
            for worker in self.workers.values():
                worker.tick(time.monotonic())
            time.sleep(TICK_SECONDS / 2)


def main(root: Path) -> int:
    """Run as DIR/usr/bin/kubelet."""
    layout = Layout(root)
    marker = layout.read_marker()
    if marker is None:
        klog.write(klog.line(KlogSeverity.ERROR, "auditctl-lab", f'"Not a lab" path={klog.quote(str(root))}'))
        return 1
    static_pods = _static_pod_path(layout)
    kubelet = PracticeKubelet(
        layout=layout, marker=marker, source=ManifestSource(directory=layout.host(static_pods), node_path=static_pods)
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, kubelet.stop)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(0o022)  # the caller's would change the modes of what DirectoryOrCreate makes
    end_leftovers(layout)
    if own := identify(os.getpid()):
        own.save(layout.processes / "kubelet.json")
    words = f"{STAND_IN} for a kubelet of v{marker.kubernetes}: shorter times, one program, no probes"
    klog.write(klog.line(KlogSeverity.INFO, "auditctl-lab", f"{klog.quote(words)} folder={klog.quote(str(root))}"))
    kubelet.run()
    return 0


def _static_pod_path(layout: Layout) -> str:
    config = read(layout.kubelet_config.read_bytes())
    return str(config["staticPodPath"]) if isinstance(config, dict) else "/etc/kubernetes/manifests"


def end_leftovers(layout: Layout) -> None:
    """End servers that an earlier kubelet of this folder left running."""
    for record in layout.processes.glob("kube-apiserver-*.json"):
        end(ChildProcess.load(record), layout.apiserver_program, SHUTDOWN_GRACE_SECONDS)
        record.unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
