"""What the kubelet leaves on disk: container logs under /var/log/pods, and other manifests beside ours."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from auditctl.compatibility import datetime_of
from auditctl.errors import RefusedError
from auditctl.manifest.pod import PROGRAM, Manifest
from auditctl.node.change import files
from auditctl.node.change.files import Root
from auditctl.patterns import lazily

POD_LOGS = (
    "/var/log/pods"  # pkg/kubelet/kuberuntime/helpers.go BuildPodLogsDirectory: NAMESPACE_NAME_UID/CONTAINER/N.log
)
_LONGEST_HEAD_BYTES = 32 * 1024
_NUMBERED = lazily(r"(\d+)\.log")


class PodName(NamedTuple):
    """Under which names the kubelet files what it says of the API server; kubeadm's, where the manifest is unreadable."""

    namespace: str = "kube-system"
    name: str = PROGRAM
    container: str = PROGRAM

    @classmethod
    def of(cls, manifest: Manifest | None) -> PodName:
        return cls(manifest.namespace, manifest.pod_name, manifest.container_name) if manifest else cls()


class ContainerLog(NamedTuple):
    """One container log file: one start of the container. ``uid`` is the static Pod's, ``number`` counts restarts.

    ``identity`` is (path, device, inode): the inode of a log that the kubelet has removed is soon another one's.
    """

    path: Path
    modified: float
    uid: str = ""
    number: int = 0
    identity: tuple[str, int, int] = ("", 0, 0)


def container_logs(root: Root, manifest: Manifest) -> list[ContainerLog]:
    """Every log of the manifest's container, of any Pod that the kubelet made from it, oldest first."""
    return logs_of(root, PodName.of(manifest))


def logs_of(root: Root, pod: PodName) -> list[ContainerLog]:
    """Every log of that container, oldest first; what may not be read is left out."""
    prefix = f"{pod.namespace}_{pod.name}-"
    logs = []
    for folder in _scan(root.followed(POD_LOGS)):
        if folder.name.startswith(prefix):
            logs += list(_logs_in(root, Path(folder.path, pod.container), folder.name.rpartition("_")[2]))
    return sorted(logs, key=lambda log: (log.modified, log.number))


def last_ended(root: Root, manifest: Manifest) -> float | None:
    """When a container before the running one ended, in the Pod that runs now (wall-clock seconds); None if none did."""
    logs = container_logs(root, manifest)
    older = [log.modified for log in logs if log.uid == logs[-1].uid and log.number < logs[-1].number]
    return max(older, default=None)


def _logs_in(root: Root, folder: Path, uid: str) -> Iterator[ContainerLog]:
    for entry in _scan(folder):
        numbered = _NUMBERED.fullmatch(entry.name)
        if numbered is None:
            continue
        with suppress(OSError, RefusedError):  # docker's are links to its own logs
            path = root.followed(root.node(Path(entry.path)))
            status = path.stat()
            identity = entry.path, status.st_dev, status.st_ino
            yield ContainerLog(path, status.st_mtime, uid, int(numbered[1]), identity)


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def began(log: ContainerLog) -> float:
    """When the container said its first word, wall-clock seconds: the runtime's own time, else the file's."""
    try:
        with os.fdopen(files.open_regular(log.path), "rb") as file:
            time, _, _, _ = _unwrapped(file.readline(_LONGEST_HEAD_BYTES).decode(errors="replace"))
        return datetime_of(re.sub(r"(\.\d{1,6})\d*", r"\1", time)).timestamp()
    except (OSError, ValueError):
        return log.modified


def joined(lines: Iterable[str], rest: dict[str, str] | None = None) -> Iterator[tuple[str, str]]:
    """(time, text) of every whole line: ``P`` marks a part, of which the next line of its stream is the continuation.

    ``rest`` keeps unfinished parts by stream from one call to the next. Sources: the CRI's log format
    (pkg/kubelet/kuberuntime/logs/logs.go), and docker's JSON lines (cri-dockerd).
    """
    parts = {} if rest is None else rest
    for line in lines:
        time, stream, whole, text = _unwrapped(line)
        text = parts.pop(stream, "") + text
        if whole:
            yield time, text
        else:
            parts[stream] = text


def _unwrapped(line: str) -> tuple[str, str, bool, str]:
    """Time, stream, whether the line ends here, and its text."""
    if line.startswith('{"log":'):
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            row = json.loads(line)
            text = row["log"]
            return row.get("time", ""), row.get("stream", ""), text.endswith("\n"), text.removesuffix("\n")
    words = line.split(" ", 3)
    if len(words) >= 3 and words[1] in ("stdout", "stderr") and re.fullmatch(r"[FP](:\S*)?", words[2]):
        return words[0], words[1], not words[2].startswith("P"), words[3] if len(words) == 4 else ""
    return "", "", True, line
