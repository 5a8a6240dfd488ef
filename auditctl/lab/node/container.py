"""One container: a process of the stand-in, and its log as the CRI writes it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from auditctl.compatibility import UTC
from auditctl.lab.node.layout import Layout, Timing
from auditctl.lab.node.process import ChildProcess, identify
from auditctl.lab.node.static_pod import StaticPod
from auditctl.lab.node.volumes import Bind

# What a container runtime would arrange with namespaces, the stand-in reads from its environment.
MOUNTS, FILE_SYSTEM, VERSION, FOLDER, PACE = (
    f"AUDITCTL_LAB_{name}" for name in ("MOUNTS", "FILE_SYSTEM", "VERSION", "FOLDER", "PACE")
)


@dataclass(frozen=True, slots=True)
class Container:
    """A started container; ``number`` counts restarts within the Pod, and names the log file."""

    number: int
    process: subprocess.Popen[bytes]
    record: Path

    def poll(self) -> int | None:
        """Return the exit code (-9 after SIGKILL), None while it runs; remove the record of an ended one."""
        code = self.process.poll()
        if code is not None:
            self.record.unlink(missing_ok=True)
        return code

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


def start(layout: Layout, pod: StaticPod, number: int, binds: Sequence[Bind], pace: Timing) -> Container:
    """Run the Pod's container. Its log goes to /var/log/pods/NAMESPACE_NAME_UID/CONTAINER/NUMBER.log."""
    directory = log_directory(layout, pod)
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    file_system = layout.containers / pod.uid / str(number)
    file_system.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, str(layout.apiserver_program), *pod.command[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=file_system,
        env=_environment(layout, pod, binds, file_system, pace),
    )
    log = (directory / f"{number}.log").open("ab", buffering=0)
    _follow(process, log)
    return Container(number, process, _record(layout, process.pid))


def log_directory(layout: Layout, pod: StaticPod) -> Path:
    """Return the directory of a Pod's logs (kuberuntime/helpers.go BuildPodLogsDirectory)."""
    return layout.pod_logs / f"{pod.namespace}_{pod.name}_{pod.uid}" / pod.container


def next_number(layout: Layout, pod: StaticPod) -> int:
    """Return the number of the next log, from those that are there (calcRestartCountByLogDir)."""
    return max(_numbers(layout, pod), default=-1) + 1


def forget_before(layout: Layout, pod: StaticPod, number: int) -> None:
    """Remove the logs and file systems of earlier containers: of the dead only the newest is kept (MaxPerPodContainer)."""
    for earlier in _numbers(layout, pod):
        if earlier < number:
            (log_directory(layout, pod) / f"{earlier}.log").unlink(missing_ok=True)
            shutil.rmtree(layout.containers / pod.uid / str(earlier), ignore_errors=True)


def forget(layout: Layout, pod: StaticPod) -> None:
    """Remove what a Pod that is gone leaves; the real kubelet takes the logs away within a second, too."""
    shutil.rmtree(log_directory(layout, pod).parent, ignore_errors=True)
    shutil.rmtree(layout.containers / pod.uid, ignore_errors=True)


def _numbers(layout: Layout, pod: StaticPod) -> list[int]:
    return [int(path.stem) for path in log_directory(layout, pod).glob("*.log") if path.stem.isdigit()]


def _environment(layout: Layout, pod: StaticPod, binds: Sequence[Bind], room: Path, pace: Timing) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONDONTWRITEBYTECODE": "1",
        MOUNTS: json.dumps([asdict(bind) for bind in binds]),
        FILE_SYSTEM: str(room),
        VERSION: pod.kubernetes,
        FOLDER: str(layout.root),
        PACE: json.dumps(asdict(pace)),
    }


def _record(layout: Layout, pid: int) -> Path:
    path = layout.processes / f"kube-apiserver-{pid}.json"
    (identify(pid) or ChildProcess(pid, 0)).save(path)
    return path


def _follow(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    """Copy the container's output into its log in two threads; close it when both ends are dry."""
    left = threading.Semaphore(1)

    def copy(stream: IO[bytes], name: str) -> None:
        with stream:
            for line in stream:
                _write(log, name, line)
        if not left.acquire(blocking=False):
            log.close()

    for stream, name in ((process.stdout, "stdout"), (process.stderr, "stderr")):
        if stream is not None:
            threading.Thread(target=copy, args=(stream, name), daemon=True).start()


def _write(log: IO[bytes], stream: str, line: bytes) -> None:
    """Write one CRI line, `<RFC3339Nano> stderr F <line>`; P for F where the line goes on (16 KiB parts)."""
    now = time.time_ns()
    stamp = f"{datetime.fromtimestamp(now // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{now % 10**9:09d}Z"
    text = line.removesuffix(b"\n")
    parts = [text[at : at + 16384] for at in range(0, len(text), 16384)] or [b""]
    for index, part in enumerate(parts):
        tag = "F" if index == len(parts) - 1 else "P"
        log.write(f"{stamp} {stream} {tag} ".encode() + part + b"\n")
