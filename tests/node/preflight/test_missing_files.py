"""Which audit files a manifest names that are not there, and whether a change brings all of them."""

from __future__ import annotations

from foldernode import HERE, POLICY

from auditctl.node.preflight import node_checks
from auditctl.operations.controlplane import ControlPlane

AUDITED = HERE / "golden/kubeadm/v1.36.2/plain+log+webhook.yaml"


def test_a_change_mends_the_node_only_if_it_brings_every_file(folder_node: ControlPlane) -> None:
    folder_node.manifest_path.write_text(AUDITED.read_text())
    manifest = folder_node.read_manifest()[1]
    absent = dict(node_checks.missing(folder_node.root, manifest))
    assert sorted(absent.values()) == ["--policy", "--webhook-config"]
    (policy, _), (webhook, _) = absent.items()

    assert node_checks.brought(folder_node.root, manifest, [policy]) == ""
    both = node_checks.brought(folder_node.root, manifest, [policy, webhook])
    assert f"{policy} and {webhook}, which its manifest names, are not there; this change installs it" in both

    policy.parent.mkdir(parents=True, exist_ok=True)
    for path in (policy, webhook):
        path.write_text(POLICY)
    assert node_checks.brought(folder_node.root, manifest, [policy, webhook]) == ""
