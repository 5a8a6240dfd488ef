"""The Pod in the manifest: which container is the API server, its flags, its mounts. Reads, never changes."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auditctl.errors import ManifestError, Place
from auditctl.manifest import fields
from auditctl.manifest.document import Document
from auditctl.manifest.flags import Flag, Item, Path, normalised, read_flags
from auditctl.manifest.paths import HostPath, Mount, Volume, host_path
from auditctl.patterns import lazily

PROGRAM = "kube-apiserver"
HYPERKUBE = "hyperkube"  # up to 1.18 one program was all components: `hyperkube apiserver --...`, no wrapper
SHELLS = frozenset({"sh", "bash", "ash", "dash", "busybox", "env", "flock", "nsenter", "tini", "watch-termination"})
DEFAULT_SECURE_PORT = 6443
TAG = lazily(r":v?(\d+)\.(\d+)(?:\.(\d+))?(?![\d.])[^/]*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The Pod of the API server. Field names are the Pod's; ``flag_list`` has every flag in the order of the process.

    ``container_path`` is where the container stands in the document. Values of probes are the liveness probe's.
    """

    document: Document
    container_path: Path
    pod_name: str
    namespace: str
    container_name: str
    image: str
    items: tuple[Item, ...]
    program_words: int
    flag_list: tuple[Flag, ...]
    mounts: tuple[Mount, ...]
    volumes: tuple[Volume, ...]
    annotations: Mapping[str, str]
    liveness_host: str | None
    liveness_port: int | None

    @classmethod
    def of(cls, document: Document) -> Manifest:
        """Read the Pod. Raises ManifestError, with its place, for what is no static Pod of kube-apiserver."""
        fields.require(document.value.get("kind") == "Pod", "the kind is not Pod", document, ("kind",))
        metadata = fields.mapping(document, ("metadata",))
        fields.require(bool(metadata), "the Pod has no metadata", document, ())
        path = _container_path(document)
        items = _items(document, path)
        program_words = _program_words([item.text for item in items])
        host, port = _liveness(document, path)
        return cls(
            document=document,
            container_path=path,
            pod_name=fields.string(document, ("metadata", "name")),
            namespace=fields.string(document, ("metadata", "namespace")) or "default",
            container_name=fields.string(document, (*path, "name")),
            image=fields.string(document, (*path, "image")),
            items=items,
            program_words=program_words,
            flag_list=read_flags(items[program_words:], document),
            mounts=fields.mounts(document, (*path, "volumeMounts")),
            volumes=fields.volumes(document),
            annotations={
                key: str(value) for key, value in fields.mapping(document, ("metadata", "annotations")).items()
            },
            liveness_host=host,
            liveness_port=port,
        )

    @property
    def command(self) -> tuple[str, ...]:
        """Return the command line of the process: ``command``, then ``args``."""
        return tuple(item.text for item in self.items)

    @property
    def flags(self) -> dict[str, str]:
        """Return every flag by its normalised name; the last one wins, and a bool without a value is ``true``."""
        return {flag.name: flag.value for flag in self.flag_list}

    @property
    def audit_flags(self) -> dict[str, str]:
        """Return every ``--audit-*`` flag by its normalised name."""
        return {flag.name: flag.value for flag in self.flag_list if flag.is_audit}

    def flag(self, name: str) -> str | None:
        """Return the value of a flag, with or without dashes or underscores in ``name``; None where it is not set."""
        return self.flags.get(normalised(name))

    def host_path(self, container_path: str) -> HostPath | None:
        """Return where a container path is on the host; None where no mount covers it. Raises ManifestError."""
        return host_path(self.mounts, self.volumes, container_path, self.mounts_place)

    @property
    def mounts_place(self) -> Place:
        """Return where the container's mounts are written."""
        return self.document.place((*self.container_path, "volumeMounts"))

    @property
    def version(self) -> tuple[int, int, int] | None:
        """Return the version in the image's tag (``v1.29.4-eks-1``, ``1.14``); None where there is none (``latest``)."""
        tag = TAG.search(self.image.partition("@")[0])
        return (int(tag[1]), int(tag[2]), int(tag[3] or 0)) if tag else None

    @property
    def run_as_user(self) -> int:
        """Return the number of the user that runs the server; the image's own, where the Pod names none, is root."""
        pod = fields.mapping(self.document, ("spec", "securityContext"))
        own = fields.mapping(self.document, (*self.container_path, "securityContext"))
        uid = own.get("runAsUser", pod.get("runAsUser"))
        return uid if isinstance(uid, int) else 0

    @property
    def secure_port(self) -> int:
        """Return the port of ``--secure-port``. Raises ManifestError for a value that is not a port."""
        value = self.flag("secure-port")
        if value is None:
            return DEFAULT_SECURE_PORT
        if not re.fullmatch(r"[0-9]{1,5}", value):
            raise ManifestError(f"--secure-port={value} is not a port", place=self.document.place(self.container_path))
        return int(value)


def _container_path(document: Document) -> Path:
    """Find the container by what it runs, not by its position: sidecars may stand first."""
    containers = fields.sequence(document, ("spec", "containers"))
    paths: list[Path] = []
    for index in range(len(containers)):
        path: Path = ("spec", "containers", index)
        if _program_words(fields.strings(document, (*path, "command"))):
            paths.append(path)
    if len(paths) == 1:
        return paths[0]
    if paths:
        raise ManifestError("more than one container runs kube-apiserver", place=document.place(paths[1]))
    for index in range(len(containers)):
        _refuse_wrapper(document, ("spec", "containers", index))
    raise ManifestError("no container runs kube-apiserver", place=document.place(("spec", "containers")))


def _program_words(command: Sequence[str]) -> int:
    """Return how many words of ``command`` name the API server's program; 0 where it runs something else."""
    program = posixpath.basename(command[0]) if command else ""
    if program == HYPERKUBE and len(command) > 1 and command[1] in {"apiserver", PROGRAM}:
        return 2
    return 1 if program == PROGRAM else 0


def _refuse_wrapper(document: Document, path: Path) -> None:
    words = [item.text for item in _items(document, path)]
    place = document.place((*path, "command"))
    program = posixpath.basename(words[0]) if words else ""
    if program in SHELLS and any(PROGRAM in word or "apiserver" in word for word in words[1:]):
        raise ManifestError(
            f"the API server is started by a wrapper ({program!r}), so that its flags are no list",
            check="wrapper",
            fix="let command begin with kube-apiserver",
            place=place,
        )
    if words and PROGRAM in words[0].split():
        raise ManifestError("the whole command line is one item: its flags are no list", place=place)


def _items(document: Document, path: Path) -> tuple[Item, ...]:
    return tuple(
        Item(text, (*path, key), index)
        for key in ("command", "args")
        for index, text in enumerate(fields.strings(document, (*path, key)))
    )


def _liveness(document: Document, path: Path) -> tuple[str | None, int | None]:
    probe = (*path, "livenessProbe")
    http = fields.mapping(document, (*probe, "httpGet"))
    host, port = http.get("host"), http.get("port")
    if isinstance(port, str):
        ports = fields.sequence(document, (*path, "ports"))
        named = [fields.mapping(document, (*path, "ports", index)) for index in range(len(ports))]
        port = next((one.get("containerPort") for one in named if one.get("name") == port), port)
    if isinstance(port, str) and port.isdecimal():
        port = int(port)
    return (host if isinstance(host, str) and host else None), (port if type(port) is int else None)
