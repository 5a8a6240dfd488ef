"""The manifest directory as the kubelet watches it (pkg/kubelet/config/{file,file_linux}.go).

A listing every so often decides for good; between listings, events do. Events are found by comparing what stat says
(a fast poll stands in for inotify).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from auditctl.lab.node import klog
from auditctl.lab.node.klog import KlogSeverity
from auditctl.lab.node.pod_decoding import InvalidPodError
from auditctl.lab.node.static_pod import StaticPod, decode

Signature = tuple[int, ...]


@dataclass(slots=True, kw_only=True)
class ManifestSource:
    """``desired`` is the Pods that should run, by namespace/name; ``node_path`` the directory's path on the node."""

    directory: Path
    node_path: str
    say: Callable[[str], None] = klog.write
    desired: Mapping[str, StaticPod] = field(default_factory=dict)
    _store: dict[str, StaticPod] = field(default_factory=dict)
    _keys: dict[str, str] = field(default_factory=dict)  # file name -> store key; two names may share one key
    _signatures: dict[str, Signature] = field(default_factory=dict)

    def list(self) -> None:
        """Read the full listing: of equal Pods the last name wins, a file without a Pod takes its Pod away."""
        self._signatures = self._look()
        if not self.directory.is_dir():
            self._error("file.go:76", "Unable to read config path", "path does not exist, ignoring")
            self.desired = {}
            return
        pods: dict[str, StaticPod] = {}
        for name in sorted(self._signatures, key=os.fsencode):
            try:
                if pod := self._extract(name):
                    pods[pod.key] = pod
            except InvalidPodError as error:
                self._error("file.go:187", "Could not process manifest file", error.message, self._path(name))
        # an empty update goes round the store, which a later event may bring back (pkg/kubelet/config/config.go)
        self.desired = dict(pods)
        self._store = dict(pods) or self._store

    def watch(self) -> None:
        """Take in the changes of single files since the last look; an invalid file changes nothing."""
        before, self._signatures = self._signatures, self._look()
        for name in before.keys() - self._signatures.keys():
            self._store.pop(self._keys.pop(name, ""), None)
            self.desired = dict(self._store)
        for name in sorted(name for name, signature in self._signatures.items() if before.get(name) != signature):
            self._changed(name)

    def _changed(self, name: str) -> None:
        try:
            pod = self._extract(name)
        except InvalidPodError as error:
            reason = f"can't process config file {klog.quote(self._path(name))}: {error.message}"
            self._error("file.go:108", "Unable to process watch event", reason)
            return
        if pod:
            self._store[pod.key] = pod
            self.desired = dict(self._store)

    def _extract(self, name: str) -> StaticPod | None:
        path = self.directory / name
        try:
            if not path.is_file():
                return None
            raw = path.read_bytes()
        except FileNotFoundError:
            return None  # gone again: the next look says so
        except OSError as error:
            raise InvalidPodError(f"open {self._path(name)}: {(error.strerror or '').lower()}") from error
        pod = decode(raw, self._path(name))
        self._keys[name] = pod.key
        return pod

    def _look(self) -> dict[str, Signature]:
        """Return every name that does not begin with a dot, whatever its suffix; symlinks are followed."""
        signatures: dict[str, Signature] = {}
        try:
            names = [name for name in os.listdir(self.directory) if not name.startswith(".")]  # noqa: PTH208 - names only
        except OSError:
            return signatures
        for name in names:
            try:
                status = (self.directory / name).stat()
            except OSError:
                continue
            signatures[name] = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_mode)
        return signatures

    def _path(self, name: str) -> str:
        return f"{self.node_path.rstrip('/')}/{name}"

    def _error(self, place: str, message: str, reason: str, path: str | None = None) -> None:
        tail = f" path={klog.quote(path)}" if path else ""
        self.say(klog.line(KlogSeverity.ERROR, place, f"{klog.quote(message)} err={klog.quote(reason)}{tail}"))
