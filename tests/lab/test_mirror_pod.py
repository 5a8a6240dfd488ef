"""The mirror Pod of the stand-in shows the static Pod that runs, as the kubelet's mirror Pod does."""

from __future__ import annotations

from auditctl.lab.apiserver.shared_objects import mirror_pod

VOLUMES = [{"name": "audit-log", "hostPath": {"path": "/var/log/kubernetes/audit"}}]
STATIC = {
    "metadata": {
        "name": "kube-apiserver",
        "annotations": {"auditctl/policy-sha256": "ab"},
        "labels": {"tier": "other"},
    },
    "spec": {"containers": [{"name": "kube-apiserver", "image": "x:v1.36.2", "command": ["old"]}], "volumes": VOLUMES},
}


def test_it_has_the_volumes_annotations_and_image_of_the_manifest_and_the_command_that_runs() -> None:
    pod = mirror_pod(STATIC, ("--secure-port=1", "--advertise-address=192.0.2.1"), "cp1")
    assert pod["metadata"]["name"] == "kube-apiserver-cp1"
    assert pod["metadata"]["annotations"]["auditctl/policy-sha256"] == "ab"
    assert pod["metadata"]["labels"] == {"component": "kube-apiserver", "tier": "other"}
    assert pod["spec"]["volumes"] == VOLUMES
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "x:v1.36.2"
    assert container["command"] == ["kube-apiserver", "--secure-port=1", "--advertise-address=192.0.2.1"]
    assert pod["status"]["hostIP"] == "192.0.2.1"
    assert STATIC["spec"]["containers"][0]["command"] == ["old"]  # type: ignore[index]


def test_without_a_manifest_there_is_still_a_pod() -> None:
    assert mirror_pod({}, (), "cp1")["status"]["hostIP"] == "127.0.0.1"
