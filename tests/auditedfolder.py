"""A control plane that is files alone: kubeadm's own manifest with auditing on, and a policy."""

from __future__ import annotations

from pathlib import Path

from auditctl.operations.controlplane import ControlPlane

GOLDEN = Path(__file__).parent / "golden" / "kubeadm"

POST_ONLY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: Request
  verbs: [create]
  resources: [{group: "", resources: ["pods/exec"]}]
- level: None
"""


def give(
    plane: ControlPlane, version: str, policy: str, *, name: str = "plain+log", drop: str = "", **swaps: str
) -> None:
    """Put a manifest of kubeadm's own and a policy there; ``drop`` takes out the lines that hold it."""
    text = (GOLDEN / version / f"{name}.yaml").read_text()
    text = "".join(line for line in text.splitlines(keepends=True) if not drop or drop not in line)
    for old, new in swaps.items():
        text = text.replace(old.replace("_", "-"), new)
    plane.manifest_path.parent.mkdir(parents=True, exist_ok=True)
    plane.manifest_path.write_text(text)
    path = plane.root.host("/etc/kubernetes/audit/policy.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(policy)
