"""What the tests of the lab share: golden rows, a node to speak to, a manifest with auditing on."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from auditctl.lab import Lab
from auditctl.lab.node.layout import ADDRESS, Layout, Timing
from auditctl.lab.node.process import until

GOLDEN = (Path(__file__).parents[1] / "golden", Path(__file__).parents[3] / "shared/golden")
QUICK = Timing(grace=0.6, listing=0.4, backoff=0.3, backoff_cap=1.0, replace=0.1, start=0.3)
AUDIT_FLAGS = (
    "--audit-policy-file=/etc/kubernetes/audit/policy.yaml",
    "--audit-log-path=/var/log/kubernetes/audit/audit.log",
)
EVERYTHING = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: RequestResponse\n"


def golden(name: str) -> list[dict[str, Any]]:
    """The rows of a golden file."""
    return [json.loads(line) for line in golden_text(name).splitlines()]


def golden_text(name: str) -> str:
    """A golden file, from the clone or from beside it."""
    for root in GOLDEN:
        if (root / name).exists():
            return (root / name).read_text(encoding="utf-8")
    pytest.skip(f"no golden data here: {name}", allow_module_level=True)


def eventually(condition: Any, seconds: float = 15) -> None:
    """Polls, never sleeps blindly."""
    assert until(condition, seconds), f"not within {seconds} s: {condition}"


@dataclass(frozen=True)
class Reply:
    code: int
    text: str
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Node:
    """A lab, and how a test speaks to it."""

    lab: Lab
    layout: Layout = field(init=False)

    def __post_init__(self) -> None:
        self.layout = Layout(self.lab.root)

    def request(self, method: str, path: str, *, admin: bool = False, body: Any = None, **headers: str) -> Reply:
        context = ssl.create_default_context(cafile=str(self.layout.pki / "ca.crt"))
        if admin:
            self._present_certificate(context)
        connection = http.client.HTTPSConnection(ADDRESS, self.lab.port, timeout=5, context=context)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, json.dumps(body) if body is not None else None, names)
            reply = connection.getresponse()
            return Reply(reply.status, reply.read().decode(), dict(reply.getheaders()))
        finally:
            connection.close()

    def _present_certificate(self, context: ssl.SSLContext) -> None:
        text = self.layout.admin_conf.read_text()
        with tempfile.TemporaryDirectory() as name:
            for key in ("client-certificate-data", "client-key-data"):
                match = re.search(f"{key}: (.*)", text)
                assert match
                (Path(name) / key).write_bytes(base64.b64decode(match[1]))
            context.load_cert_chain(Path(name, "client-certificate-data"), Path(name, "client-key-data"))

    @property
    def manifest(self) -> Path:
        return self.layout.manifest

    def write_manifest(self, text: str) -> None:
        """As a careful editor does: a dot name, one rename."""
        draft = self.manifest.with_name(".draft")
        draft.write_text(text)
        draft.chmod(0o600)
        draft.rename(self.manifest)

    def kubelet_log(self) -> str:
        return self.layout.kubelet_log.read_text()

    def pod_logs(self) -> dict[str, str]:
        return {str(path): path.read_text() for path in sorted(self.layout.pod_logs.glob("*/*/*.log"))}

    def serves(self) -> bool:
        try:
            return self.request("GET", "/readyz").code == 200
        except OSError:
            return False

    def events(self) -> list[dict[str, Any]]:
        log = self.layout.host("/var/log/kubernetes/audit/audit.log")
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def with_auditing(manifest: str, flags: tuple[str, ...] = AUDIT_FLAGS) -> str:
    """kubeadm's manifest with auditing on, as kubeadm would write it."""
    lines = "".join(f"    - {flag}\n" for flag in flags)
    mounts = (
        "    - mountPath: /etc/kubernetes/audit/policy.yaml\n      name: audit-policy\n      readOnly: true\n"
        "    - mountPath: /var/log/kubernetes/audit\n      name: audit-log\n"
    )
    volumes = (
        "  - hostPath:\n      path: /etc/kubernetes/audit/policy.yaml\n      type: File\n    name: audit-policy\n"
        "  - hostPath:\n      path: /var/log/kubernetes/audit\n      type: DirectoryOrCreate\n    name: audit-log\n"
    )
    manifest = manifest.replace("    image:", f"{lines}    image:")
    return manifest.replace("  hostNetwork:", f"{mounts}  hostNetwork:").replace("status: {}", f"{volumes}status: {{}}")
