"""Lab nodes as the control planes of one cluster: one authority, one store of Leases, Nodes and mirror Pods."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from auditctl.compatibility import UTC
from auditctl.lab import down, status, up
from auditctl.lab.node.layout import ADDRESS, Layout, Timing
from auditctl.node.apiserver.process import listener

PACE = Timing(grace=0.3, listing=0.4, backoff=0.3, backoff_cap=1.0, replace=0.5, start=0.3)
LEASE = "coordination.k8s.io/leases/kube-system/auditctl"


class LabRun(NamedTuple):
    """What one call of auditctl gave."""

    code: int
    report: dict[str, Any]
    stderr: str


class LabNode(NamedTuple):
    """One control plane, and auditctl as a person calls it there."""

    root: Path

    @property
    def manifest(self) -> Path:
        return Layout(self.root).manifest

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """Start `auditctl` and return at once."""
        command = [sys.executable, "-m", "auditctl", "--rootfs", str(self.root), *map(str, words)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *words: str | Path) -> LabRun:
        """Run `auditctl ... -o json`."""
        process = self.start(*words, "-o", "json")
        stdout, stderr = process.communicate(timeout=120)
        assert "Traceback" not in stderr, stderr
        return LabRun(process.returncode, json.loads(stdout) if stdout.strip() else {}, stderr)

    def is_ready(self) -> bool:
        lab = status(self.root)
        return lab is not None and lab.serving


class LabCluster:
    """The labs by name, and the file that they share."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.roots = {name: folder / name for name in names}
        self.store = folder / "shared-objects.json"

    def node(self, name: str) -> LabNode:
        return LabNode(self.roots[name])

    def lease(self) -> dict[str, Any] | None:
        """Return the spec of the Lease, None where there is none."""
        rows = json.loads(self.store.read_text())["objects"]
        return next((row["object"]["spec"] for row in rows if row["key"] == LEASE), None)

    def hold(self, holder: str, seconds: int, *, renewed_before: float = 0.0) -> None:
        """Put a Lease there, as another run would have it."""
        content = json.loads(self.store.read_text())
        moment = f"{datetime.now(UTC) - timedelta(seconds=renewed_before):%Y-%m-%dT%H:%M:%S.%f}Z"
        spec = {"holderIdentity": holder, "leaseDurationSeconds": seconds, "acquireTime": moment, "renewTime": moment}
        content["revision"] += 1
        metadata = {"name": "auditctl", "namespace": "kube-system", "uid": "u"}
        made = {"metadata": {**metadata, "resourceVersion": str(content["revision"])}, "spec": spec}
        content["objects"] = [row for row in content["objects"] if row["key"] != LEASE]
        content["objects"].append({"key": LEASE, "object": made})
        self._replace(content)

    def free(self) -> None:
        """Take the Lease away."""
        content = json.loads(self.store.read_text())
        content["objects"] = [row for row in content["objects"] if row["key"] != LEASE]
        content["revision"] += 1
        self._replace(content)

    def _replace(self, content: dict[str, Any]) -> None:
        beside = self.store.with_suffix(".new")
        beside.write_text(json.dumps(content))
        beside.rename(self.store)

    def port(self, name: str) -> int:
        marker = Layout(self.roots[name]).read_marker()
        assert marker is not None
        return marker.port

    def join(self) -> None:
        """Give every lab the authority of the first one, and make Nodes and mirror Pods of them."""
        first, *others = self.roots
        rows: list[dict[str, Any]] = []
        for revision, (name, root) in enumerate(self.roots.items(), 1000):
            metadata = {"name": name, "uid": f"node-{name}", "resourceVersion": str(revision)}
            labels = {"node-role.kubernetes.io/control-plane": ""}
            ready = {"conditions": [{"type": "Ready", "status": "True"}]}
            node = {"kind": "Node", "apiVersion": "v1", "metadata": {**metadata, "labels": labels}, "status": ready}
            command = ["kube-apiserver", f"--advertise-address={ADDRESS}", f"--secure-port={self.port(name)}"]
            spec = {"nodeName": name, "containers": [{"name": "kube-apiserver", "command": command}]}
            metadata = {**metadata, "name": f"kube-apiserver-{name}", "labels": {"component": "kube-apiserver"}}
            pod = {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec}
            rows.append({"key": f"/nodes//{name}", "object": node})
            rows.append({"key": f"/pods/kube-system/kube-apiserver-{name}", "object": pod})
            Layout(root).shared_objects.symlink_to(self.store)
        self._replace({"revision": 2000, "objects": rows})
        for name in others:
            for path in ("etc/kubernetes/pki", "etc/kubernetes/admin.conf"):
                source, target = self.roots[first] / path, self.roots[name] / path
                shutil.copytree(source, target, dirs_exist_ok=True) if source.is_dir() else shutil.copy(source, target)
            self.restart(name)

    def restart(self, name: str) -> None:
        """End the API server of a lab and wait until its kubelet has brought it back."""
        process = listener(self.port(name))
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        end = time.monotonic() + 30
        while (now := listener(self.port(name))) is None or now.pid == process.pid or not self.node(name).is_ready():
            assert time.monotonic() < end
            time.sleep(0.05)


@contextmanager
def lab_cluster(folder: Path, names: Sequence[str] = ("cp1", "cp2", "cp3")) -> Iterator[LabCluster]:
    """Yield the cluster, up; it is down afterwards."""
    folder.mkdir(exist_ok=True)
    cluster = LabCluster(folder, names)
    with ThreadPoolExecutor() as pool:
        try:
            list(pool.map(lambda root: up(root, pace=PACE), cluster.roots.values()))
            cluster.join()
            yield cluster
        finally:
            list(pool.map(down, cluster.roots.values()))
