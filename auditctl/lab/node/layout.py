"""Where things lie in a lab folder: a node's tree under one root, and the marker that says it is ours."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

MARKER = ".auditctl-lab.json"
STAND_IN = "auditctl-lab stand-in"  # said in the Server header, /version, the kubelet's log and the marker
NODE_NAME = "controlplane"
ADDRESS = "127.0.0.1"
TREES = ("etc", "run", "sys", "usr", "var")  # the only names that `down` ever removes, beside the marker


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How fast the lab's kubelet is, in seconds; the real one's values are beside each."""

    grace: float = 2.0  # terminationGracePeriodSeconds where the Pod sets none: 30
    listing: float = 1.0  # fileCheckFrequency: 20
    backoff: float = 1.0  # first crash back-off after the immediate restart: 10, doubling
    backoff_cap: float = 8.0  # 300; twice as long without a crash, and the next one is the first again
    replace: float = 1.0  # a Pod that waits for the end of another is looked at again after: 10 to 15
    start: float = 0.6  # from the exec of kube-apiserver to its first answer: 2 to 3
    etcd: float = 2.0  # how long a server waits for an etcd that refuses: 20


REAL_TIMES = Timing(grace=30, listing=20, backoff=10, backoff_cap=300, replace=10, start=2.5, etcd=20)


@dataclass(frozen=True, slots=True)
class Marker:
    """The content of the marker file: which node this folder plays, and at which pace."""

    kubernetes: str
    port: int
    made_directory: bool
    pace: Timing
    kind: str = STAND_IN

    def to_json(self) -> str:
        fields = asdict(self)
        fields["what"] = fields.pop("kind")
        return json.dumps(fields, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Marker:
        """Return the marker; raise ValueError for a text that is no marker of ours."""
        try:
            fields = json.loads(text)
            fields["kind"] = fields.pop("what")
            if fields["kind"] != STAND_IN:
                raise ValueError("not a lab")
            fields["pace"] = Timing(**fields["pace"])
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise ValueError("not a lab's marker") from error


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one lab folder; ``root`` is absolute and free of symlinks."""

    root: Path

    @property
    def marker(self) -> Path:
        return self.root / MARKER

    @property
    def manifest_directory(self) -> Path:
        return self.root / "etc/kubernetes/manifests"

    @property
    def manifest(self) -> Path:
        return self.manifest_directory / "kube-apiserver.yaml"

    @property
    def pki(self) -> Path:
        return self.root / "etc/kubernetes/pki"

    @property
    def admin_conf(self) -> Path:
        return self.root / "etc/kubernetes/admin.conf"

    @property
    def kubelet_config(self) -> Path:
        return self.root / "var/lib/kubelet/config.yaml"

    @property
    def kubelet_log(self) -> Path:
        return self.root / "var/log/kubelet.log"

    @property
    def pod_logs(self) -> Path:
        return self.root / "var/log/pods"

    @property
    def control_groups(self) -> Path:
        """Return where the kubelet has one directory for each Pod of this quality of service."""
        return self.root / "sys/fs/cgroup/kubepods/burstable"

    @property
    def pod_folders(self) -> Path:
        return self.root / "var/lib/kubelet/pods"

    @property
    def kubelet_program(self) -> Path:
        return self.root / "usr/bin/kubelet"

    @property
    def apiserver_program(self) -> Path:
        return self.root / "usr/local/bin/kube-apiserver"

    @property
    def processes(self) -> Path:
        """Return the folder of the lab's processes, one JSON file each: `down` needs it after the kubelet died."""
        return self.root / "var/lib/auditctl-lab/processes"

    @property
    def kubeadm_record(self) -> Path:
        """Return the file behind the ConfigMap kubeadm-config, which the stand-in reads and writes."""
        return self.root / "var/lib/auditctl-lab/kubeadm-config.json"

    @property
    def shared_objects(self) -> Path:
        """Return the file of objects that outlive a server; in a cluster of labs a link to the file that they share."""
        return self.root / "var/lib/auditctl-lab/shared-objects.json"

    @property
    def containers(self) -> Path:
        """Return the folder of the containers' own file systems: what no mount covers."""
        return self.root / "var/lib/auditctl-lab/containers"

    def host(self, path: str) -> Path:
        """Return the place in the folder of an absolute path of the node."""
        return self.root / path.lstrip("/")

    def read_marker(self) -> Marker | None:
        """Return the marker; None where this folder is not a lab."""
        try:
            return Marker.from_json(self.marker.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
