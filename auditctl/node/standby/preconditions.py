"""What a standby server needs of the node: memory, a port that is let in, a redirect, an image that is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from auditctl.errors import ManifestError
from auditctl.manifest.pod import Manifest
from auditctl.manifest.standby import standby_pod
from auditctl.node.apiserver.process import Process
from auditctl.node.change.files import Root
from auditctl.node.clock import Clock
from auditctl.node.standby import pod
from auditctl.node.standby.packet_filter import dropping
from auditctl.node.standby.redirect import redirect, target_of

_MEMORY_FACTOR = 1.5  # of the running server: the standby has the same caches, and fills them while it starts
_MIB = 1 << 20
_ANY = ("0.0.0.0", "::")  # noqa: S104 (compared with, not bound)


def missing(
    root: Root, manifest_path: Path, before: Manifest, after: Manifest, process: Process | None, clock: Clock
) -> Iterator[str]:
    """Yield a sentence for everything that a standby needs and this node lacks."""
    if process is None:
        yield "no API server runs that a standby could stand in for"
        return
    try:
        log = standby_pod(after, 1, "").log_path
        if log is not None and after.host_path(log) is None:
            yield "the directory of the audit log is not mounted, so that a log beside it would be lost"
    except ManifestError as error:
        yield error.message
    if after.image != before.image:
        yield f"the image {after.image} is another one than that of the running server"
    container = after.document.value["spec"]["containers"][0]
    if container.get("imagePullPolicy") == "Always":
        yield "imagePullPolicy Always: the kubelet may have to pull the image"
    if after.secure_port != before.secure_port:
        yield "the change is to another --secure-port"
    if (after.flag("bind-address") or _ANY[0]) not in _ANY:
        yield f"--bind-address={after.flag('bind-address')}: connections to other addresses could not be redirected"
    port = pod.free_port(after.secure_port)
    if port is None:
        yield f"no port is free near {after.secure_port}"
    elif reason := redirect(root, target_of(after, port), clock).missing() or (dropping(port) if root.is_host else ""):
        yield reason
    path = pod.path_of(manifest_path)
    if path.exists() and not pod.is_ours(path):
        yield f"{path} is not of auditctl"
    yield from _memory(process)


def _memory(process: Process) -> Iterator[str]:
    resident = _kilobytes(Path(f"/proc/{process.pid}/status"), "VmRSS:")
    available = _kilobytes(Path("/proc/meminfo"), "MemAvailable:")
    if resident is not None and available is not None and available < resident * _MEMORY_FACTOR:
        needed, there = (round(number * 1024 / _MIB) for number in (resident * _MEMORY_FACTOR, available))
        yield f"{needed} MiB of memory are needed, {there} MiB are available"


def _kilobytes(path: Path, name: str) -> int | None:
    with suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
    return None
