"""What the running kubelet and a running kubeadm are up to, read from /proc: which directory is read for static Pods."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from auditctl.errors import RefusedError
from auditctl.findings import Finding, Severity
from auditctl.node import trusted_process
from auditctl.node.change import files
from auditctl.node.change.files import Root

_PROC = Path("/proc")
_CHANGING = frozenset(["init", "join", "upgrade", "reset", "certs"])
_READING = frozenset(["check-expiration", "plan", "diff", "certificate-key", "--dry-run"])
_FRESH_SECONDS = 600.0
_STATIC_PODS = "staticPodPath"
_RUNTIME = "containerRuntimeEndpoint"
_USUAL_RUNTIME = "unix:///run/containerd/containerd.sock"  # pkg/kubelet/apis/config/v1beta1/defaults.go


class Program(NamedTuple):
    """A process: its words, and its root as we can reach it."""

    pid: int
    argv: tuple[str, ...]

    @property
    def root(self) -> Path:
        return _PROC / str(self.pid) / "root"

    def host(self, path: str) -> Path:
        """One of its paths, as we can reach it."""
        return self.root / path.lstrip("/")

    def flag(self, name: str) -> str | None:
        """The last value of a flag, in any spelling of pflag's."""
        text = None
        for at, word in enumerate(self.argv[1:], 1):
            key, equals, value = word.lstrip("-").partition("=")
            if word.startswith("-") and key.replace("_", "-") == name:
                text = value if equals else next(iter(self.argv[at + 1 : at + 2]), "")
        return text


class KubeletSettings(NamedTuple):
    """What counts for us; ``static_pods`` is empty where it reads none, ``source`` says where that stands."""

    static_pods: str
    source: str
    eviction: str | None = None
    runtime: str = _USUAL_RUNTIME


def running(name: str) -> Iterator[Program]:
    """Return the trusted processes of that name: root's, and in no container (a kind node's kubelet is in one)."""
    for entry in sorted(filter(str.isdecimal, os.listdir(_PROC)), key=int):  # noqa: PTH208 (3 times faster on /proc)
        if trusted_process.host_doubt(int(entry)):
            continue  # before its command line is read, which can block
        with suppress(OSError):
            raw = (_PROC / entry / "cmdline").read_bytes()
            if name.encode() in raw[:4096]:
                argv = tuple(word.decode(errors="replace") for word in raw.removesuffix(b"\0").split(b"\0"))
                if PurePosixPath(argv[0]).name == name:
                    yield Program(int(entry), argv)


def settings(kubelet: Program) -> KubeletSettings:
    """What the kubelet was started with: its file, then drop-ins in their order, then flags.

    Raises:
        OSError: a folder that it names cannot be read.
        RefusedError: a file that it names cannot be read, is not a regular file, or is no YAML.
    """
    merged: dict[str, Any] = {}
    source = f"process {kubelet.pid}"
    path = kubelet.flag("config")
    names = [path] if path else []
    if folder := kubelet.flag("config-dir"):
        drop_ins = sorted(name for name in os.listdir(kubelet.host(folder)) if name.endswith(".conf"))  # noqa: PTH208
        names += [posixpath.join(folder, name) for name in drop_ins]
    for name in names:
        read = _yaml(kubelet.host(name), name)
        if read.get(_STATIC_PODS):
            source = name
            read[_STATIC_PODS] = posixpath.join(posixpath.dirname(name), str(read[_STATIC_PODS]))
        merged |= read
    flagged = kubelet.flag("pod-manifest-path")
    if flagged is not None:
        merged[_STATIC_PODS], source = flagged, f"--pod-manifest-path of process {kubelet.pid}"
    hard = merged.get("evictionHard")
    eviction = hard.get("nodefs.available") if isinstance(hard, dict) else None
    # a flag wins over the file, as everywhere in the kubelet (cmd/kubelet/app/server.go)
    runtime = str(kubelet.flag("container-runtime-endpoint") or merged.get(_RUNTIME) or _USUAL_RUNTIME)
    return KubeletSettings(str(merged.get(_STATIC_PODS) or ""), source, str(eviction) if eviction else None, runtime)


def eviction_threshold() -> str | None:
    """The kubelet's ``nodefs.available``; None where it is not known."""
    with suppress(OSError, RefusedError):
        for kubelet in running("kubelet"):
            return settings(kubelet).eviction
    return None


def static_pods(manifest_path: Path) -> Iterator[Finding]:
    """Does the kubelet that runs here read the directory of this manifest? Where none runs, or it may not be asked: unknown."""
    for kubelet in running("kubelet"):
        try:
            read = settings(kubelet)
            there = kubelet.host(read.static_pods)
            same = there.samefile(manifest_path.parent) if read.static_pods and there.exists() else False
        except (OSError, RefusedError) as error:
            text = f"the kubelet's configuration cannot be read ({error}), so which directory it reads is not known"
            yield Finding(check="static-pod-path", severity=Severity.INFO, message=text, fix="run it as root (sudo)")
            return
        if not same:
            reads = f"reads static Pods from {read.static_pods}" if read.static_pods else "reads no static Pods"
            text = f"the kubelet (process {kubelet.pid}) {reads}, by {read.source}: {manifest_path} is not among them"
            name = f"{read.static_pods}/{manifest_path.name}" if read.static_pods else "PATH"
            yield Finding(
                check="static-pod-path",
                severity=Severity.ERROR,
                message=text,
                fix=f"specify the file that it reads: --manifest {name}",
            )
        return


def running_kubeadm(root: Root, now: float) -> Iterator[Finding]:
    """A kubeadm that runs writes the same file; fresh backups of one that ended are worth a word. ``now``: Unix seconds."""
    for program in running("kubeadm"):
        words = set(program.argv[1:])
        if _CHANGING & words and not _READING & words:
            text = f"kubeadm {trusted_process.printable(' '.join(program.argv[1:3]))} runs (process {program.pid}) and may write the manifest itself"
            yield Finding(
                check="kubeadm-at-work",
                severity=Severity.ERROR,
                message=text,
                fix="wait until it has ended (or use --allow kubeadm-at-work)",
            )
    folder = root.followed("/etc/kubernetes/tmp")
    with suppress(OSError):
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.name.startswith("kubeadm-") and 0 <= now - entry.stat().st_mtime < _FRESH_SECONDS:
                text = f"kubeadm wrote {entry.path} less than ten minutes ago: an upgrade may be under way"
                yield Finding(check="kubeadm-at-work", severity=Severity.INFO, message=text)
                return


def _yaml(path: Path, name: str) -> dict[str, Any]:
    from auditctl.manifest.document import load

    value = load(files.read_regular(path, "kubelet configuration").decode(errors="replace"), name)
    return dict(value) if isinstance(value, Mapping) else {}
