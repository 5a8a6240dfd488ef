"""Tell when the kubelet has finished with a static Pod, so that the next Pod of the same name can start at once.

The kubelet lets a new static Pod wait until the one of the same name is terminated, and looks again only 10 to 15 s later
(pkg/kubelet/pod_workers.go, allowStaticPodStart and allowPodStart). Nothing outside of the kubelet says at once that the
worker of a Pod has completed, but two places of the host tell it: SyncTerminatedPod (pkg/kubelet/kubelet.go) removes the
Pod's cgroups as its last act, and HandlePodCleanups (pkg/kubelet/kubelet_pods.go), which runs every two seconds, removes
first the Pod's folder and then its cgroups, also while the worker still waits. So cgroups that are gone while the folder
is there were removed by the worker: it is through. Where the folder is gone too, the worker may still wait for a listing
of containers that began after their end (podCache.GetNewerThan in podWorkerLoop): listings begin a second after the last
one has ended (pkg/kubelet/pleg/generic.go), and then it is through at once, for no volume is left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from auditctl.node.apiserver.process import Process
from auditctl.node.change.files import Root

_PODS = "/var/lib/kubelet/pods"
_PROC = Path("/proc")
_COMPLETED_SECONDS = 0.1
_CLEANED_UP_SECONDS = 1.3  # one second, and two listings on a busy node
_SYSTEMD_UID = re.compile(r"-pod([0-9a-f_]+(?:_[0-9a-f]+)*)\.slice$")
_CGROUPFS_UID = re.compile(r"^pod([0-9a-f-]+)$")


@dataclass(slots=True)
class PodRemains:
    """What is on the host of a Pod that ends: its cgroups, one a hierarchy, and the kubelet's folder of it."""

    cgroups: tuple[Path, ...]
    folder: Path
    _gone_at: float | None = None
    _settle_seconds: float = _COMPLETED_SECONDS

    @classmethod
    def of(cls, root: Root, process: Process) -> PodRemains | None:
        """Return the cgroups and the folder of the Pod that the process belongs to; None where they are not visible."""
        groups = [(path, uid) for path in _cgroups_of(root, process.pid) if (uid := _uid(path.name))]
        if not groups:
            return None
        folder = root.host(_PODS) / groups[0][1]
        cgroups = tuple(dict.fromkeys(path for path, _ in groups))
        return cls(cgroups, folder) if folder.is_dir() and all(path.is_dir() for path in cgroups) else None

    def of_sibling(self, uid: str) -> PodRemains | None:
        """Return the same of another Pod beside it, of which no process may run; None where it is not visible."""
        own, folder = self.folder.name, self.folder.with_name(uid)
        names = ((own, uid), (own.replace("-", "_"), uid.replace("-", "_")))  # as the two drivers write them
        cgroups = tuple(path.with_name(_replaced(path.name, names)) for path in self.cgroups)
        is_visible = uid != own and folder.is_dir() and all(path.is_dir() for path in cgroups)
        return PodRemains(cgroups, folder) if is_visible else None

    def finished(self, now: float) -> bool:
        """Tell whether the kubelet has finished with the Pod at ``now`` (monotonic); call it often, it keeps the times."""
        if any(path.is_dir() for path in self.cgroups):
            self._gone_at = None
            return False
        if self._gone_at is None:
            self._settle_seconds = _COMPLETED_SECONDS if self.folder.is_dir() else _CLEANED_UP_SECONDS
            self._gone_at = now
        return now - self._gone_at >= self._settle_seconds


def _replaced(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    for own, other in pairs:
        name = name.replace(own, other)
    return name


def _uid(name: str) -> str:
    """Return the Pod's UID in the name of its cgroup, as the drivers cgroupfs and systemd write it; empty for another."""
    if match := _CGROUPFS_UID.match(name):
        return match[1]
    match = _SYSTEMD_UID.search(name)
    return match[1].replace("_", "-") if match else ""


def _cgroups_of(root: Root, pid: int) -> Iterator[Path]:
    """Yield every cgroup directory around the process. A folder under ``--rootfs`` has a tree of its own, not the kernel's."""
    if not root.is_host:
        for members in root.host("/sys/fs/cgroup").rglob("cgroup.procs"):
            with suppress(OSError):
                if str(pid) in members.read_text().split():
                    yield from members.parents
        return
    mounts = dict(_cgroup_mounts())
    with suppress(OSError):
        for line in (_PROC / str(pid) / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            mount = mounts.get(controllers)
            if mount is not None:
                inside = mount / path.lstrip("/")
                yield from (inside, *inside.parents)


def _cgroup_mounts() -> Iterator[tuple[str, Path]]:
    """Yield where each hierarchy is mounted, by its controllers as /proc/PID/cgroup writes them; version 2 has none."""
    with suppress(OSError):
        for line in (_PROC / "self/mountinfo").read_text().splitlines():
            fields, _, (kind, _, options) = _split(line)
            if kind == "cgroup2":
                yield "", Path(fields[4])
            elif kind == "cgroup":
                named = [word for word in options.split(",") if word.startswith("name=")]
                yield (named[0] if named else ",".join(_controllers(options))), Path(fields[4])


def _split(line: str) -> tuple[list[str], str, tuple[str, str, str]]:
    before, separator, after = line.partition(" - ")
    kind, source, options = after.split(" ", 2)
    return before.split(), separator, (kind, source, options)


def _controllers(options: str) -> list[str]:
    return [word for word in options.split(",") if word not in ("rw", "ro") and "=" not in word]
