"""The files that a control plane needs before it joins, as `--persist` and `kubeadm persist` name them."""

from __future__ import annotations

from foldernode import HERE

from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.kubeadm.join import of_a_join

GOLDEN = HERE / "golden/kubeadm/v1.36.2"


def test_the_files_are_named_by_their_paths_on_the_node(folder_node: ControlPlane) -> None:
    folder_node.manifest_path.write_text((GOLDEN / "plain+log+webhook.yaml").read_text())
    (finding,) = of_a_join(folder_node, folder_node.read_manifest()[1])
    assert "needs /etc/kubernetes/audit/policy.yaml and /etc/kubernetes/audit/webhook.yaml before `kubeadm join`" in (
        finding.message
    )


def test_without_auditing_a_join_needs_nothing(folder_node: ControlPlane) -> None:
    assert of_a_join(folder_node, folder_node.read_manifest()[1]) == ()
