"""The node that a run works on, and how it tells of its progress."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from auditctl.errors import RefusedError
from auditctl.findings import Finding
from auditctl.node.change import files
from auditctl.node.change.files import Root, Snapshot
from auditctl.node.clock import Clock

if TYPE_CHECKING:  # ssl comes with one, ruamel.yaml with the other: --help needs neither, a plain --dry-run no ssl
    from auditctl.manifest.pod import Manifest
    from auditctl.node.apiserver.client import Endpoint
    from auditctl.node.apiserver.credentials import Credentials
    from auditctl.node.change.state import StateDirectory


MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
STATE = "/var/lib/auditctl"


class Progress(Protocol):
    """Who is told what is going on. Nothing that it does may change what happens to the node."""

    def step(self, text: str) -> None:
        """A step begins."""

    def waiting(self, text: str, seconds: float) -> None:
        """Still waiting for ``text``, since ``seconds``."""


class Silence:
    """Tells nobody."""

    def step(self, text: str) -> None:
        """Nothing."""

    def waiting(self, text: str, seconds: float) -> None:
        """Nothing."""


class Reviewer(Protocol):
    """Who is shown a plan before it is performed."""

    def accepts(self, plan: Sequence[str], question: str) -> bool:
        """Show the plan; with a question, wait for the answer where somebody can give one. False is a no."""


class AcceptAll:
    """Shows the plan to nobody and goes on."""

    def accepts(self, plan: Sequence[str], question: str) -> bool:  # noqa: ARG002 (the shape of a reviewer)
        """Return True."""
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """Where everything is. ``manifest`` and ``state`` are paths of the node, inside ``rootfs``."""

    rootfs: Path = Path("/")
    manifest: str = MANIFEST
    state_dir: str = STATE
    kubeconfig: Path | None = None
    clock: Clock = Clock()
    progress: Progress = Silence()
    reviewer: Reviewer = AcceptAll()

    @property
    def root(self) -> Root:
        return Root(self.rootfs.absolute())

    def require_root(self) -> None:
        """Raise RefusedError where the folder of ``--rootfs`` is not there: nothing is known of a node then."""
        if not self.rootfs.is_dir():
            raise RefusedError(f"{self.rootfs} is not a directory", check="rootfs", fix="correct --rootfs")

    @property
    def manifest_path(self) -> Path:
        return self.root.host(self.manifest)

    @property
    def state(self) -> StateDirectory:
        from auditctl.node.change.state import StateDirectory  # Linux only: it locks

        return StateDirectory(self.root.host(self.state_dir))

    def read_manifest(self) -> tuple[Snapshot, Manifest]:
        """Return the manifest's file and the Pod in it.

        Raises:
            RefusedError: missing, a symlink, not readable; ManifestError: not a Pod that can be edited exactly.
        """
        snapshot = files.read(self.manifest_path, "manifest")
        return snapshot, self.parse(snapshot.content)

    def parse(self, raw: bytes) -> Manifest:
        """Read manifest text under this manifest's name."""
        from auditctl.manifest.document import Document
        from auditctl.manifest.pod import Manifest

        return Manifest.of(Document.parse(raw, str(self.manifest_path)))

    def credentials(self) -> Credentials:
        """Return whom requests are made as.

        Raises:
            RefusedError: ``--kubeconfig`` names something that is not a kubeconfig.
        """
        from auditctl.node.apiserver import credentials

        return credentials.find(self.root, self.kubeconfig)

    def endpoint(self, manifest: Manifest) -> Endpoint:
        """Return this node's own API server.

        Raises:
            RefusedError: the manifest names an address that is not this machine's.
        """
        from auditctl.node.apiserver import client

        return client.endpoint(manifest, (self.root.followed("/etc/kubernetes/pki/ca.crt"),))


def damaged(plane: ControlPlane) -> Iterator[Finding]:
    """Yield an error for each such record; none where the state directory itself may not be read."""
    with suppress(RefusedError):
        for folder in plane.state.unreadable():
            text = f"{folder}: this version cannot read this record of a change (damaged, or of a newer version)"
            fix = "use the version that wrote it, or move it out of that directory if its change is settled"
            yield Finding.error("state-unreadable", text, fix)
