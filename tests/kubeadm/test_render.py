"""Settings for places without a manifest: what is rendered means what ``enable`` would have written."""

from __future__ import annotations

import json
from pathlib import Path

import jsonpatch
import pytest

from auditctl.kubeadm.clusterconfiguration import ClusterConfiguration
from auditctl.kubeadm.persist import differences, extras_of
from auditctl.kubeadm.render import RenderFormat, extras_for, render
from auditctl.manifest.document import Document, load
from auditctl.manifest.pod import Manifest

GOLDEN = Path(__file__).parents[1] / "golden" / "kubeadm" / "v1.36.2"
FLAGS = {
    "audit-policy-file": "/etc/kubernetes/audit/policy.yaml",
    "audit-log-path": "/var/log/kubernetes/audit/audit.log",
    "audit-log-maxage": "30",
    "audit-log-maxbackup": "10",
    "audit-log-maxsize": "100",
}


def manifest(name: str) -> Manifest:
    return Manifest.of(Document.parse((GOLDEN / f"{name}.yaml").read_bytes(), name))


@pytest.mark.parametrize(("version", "dialect"), [((1, 30), "v1beta3"), ((1, 31), "v1beta4"), ((1, 36), "v1beta4")])
def test_a_cluster_configuration_for_the_settings_of_a_node_loses_nothing_of_it(
    version: tuple[int, int], dialect: str
) -> None:
    node = manifest("plain+log")
    written = ClusterConfiguration.parse(
        render(RenderFormat.CLUSTER_CONFIGURATION, extras_of(node), version), "rendered"
    )
    assert written.dialect == dialect
    assert not list(differences(written, node))


def test_the_default_settings_are_what_enable_writes() -> None:
    asked, node = extras_for(FLAGS), extras_of(manifest("plain+log"))
    assert sorted(asked.arguments) == sorted(node.arguments)
    assert sorted(asked.volumes) == sorted(node.volumes)


def test_the_json_patch_makes_the_manifest_of_kubeadm_the_one_with_auditing() -> None:
    node = manifest("plain+log")
    patch = json.loads(render(RenderFormat.PATCHES, extras_of(node), (1, 36)))
    patched = jsonpatch.apply_patch(manifest("plain").document.value, patch)
    container, expected = patched["spec"]["containers"][0], node.document.value["spec"]["containers"][0]
    assert container["command"] == expected["command"]
    by_name = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert by_name == {mount["name"]: mount for mount in expected["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in patched["spec"]["volumes"]}
    assert volumes == {volume["name"]: volume for volume in node.document.value["spec"]["volumes"]}


@pytest.mark.parametrize(("version", "form"), [((1, 35), dict), ((1, 36), list)])
def test_kind_gets_the_dialect_that_its_node_reads_and_the_files_mounted(version: tuple[int, int], form: type) -> None:
    cluster = load(render(RenderFormat.KIND, extras_for(FLAGS), version))
    assert isinstance(cluster, dict)
    node = cluster["nodes"][0]
    inner = load(node["kubeadmConfigPatches"][0])
    assert isinstance(inner, dict)
    assert isinstance(inner["apiServer"]["extraArgs"], form)
    mounted = {mount["containerPath"] for mount in node["extraMounts"]}
    assert mounted == {"/etc/kubernetes/audit/policy.yaml", "/var/log/kubernetes/audit"}
