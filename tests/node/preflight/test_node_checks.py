"""Which audit files a manifest names that are not there, and whether a change brings all of them."""

from __future__ import annotations

from foldernode import HERE, POLICY

from auditctl.node.change.journal import Role
from auditctl.node.preflight import node_checks
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.doctor.collect import look
from auditctl.operations.evidence import last_known_good

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


def test_the_policy_that_was_proved_on_this_node_comes_before_a_file_of_another(folder_node: ControlPlane) -> None:
    """Of the kubelet's complaint and of `doctor`'s own look at the files; where none was proved, the file has to be named."""
    folder_node.manifest_path.write_text(AUDITED.read_text())
    manifest = folder_node.read_manifest()[1]
    complaint = "hostPath type check failed: /etc/kubernetes/audit/policy.yaml is not a file"

    assert "--policy FILE" in node_checks.command_for(folder_node.root, manifest, complaint)

    folder_node.state.keep_last_good(Role.POLICY, POLICY.encode())
    proved = last_known_good.proved_policy(folder_node)
    assert proved is not None
    command = f"auditctl enable --policy {proved}"
    assert node_checks.command_for(folder_node.root, manifest, complaint, proved).startswith(command)
    fixes = [one.fix for one in look(folder_node, ChangeOptions(wait=False)).findings if one.check == "audit-path"]
    assert any(fix.startswith(command) for fix in fixes)
