"""The Pod: its container, flags, mounts, version and ports, however they are written."""

from __future__ import annotations

import pytest

from auditctl.errors import ManifestError

from .pods import manifest, small, with_flags, with_mount

COMMAND = "  - command:\n    - kube-apiserver\n    - --allow-privileged=true\n    - --secure-port=6443\n"


def refusal(text: str) -> str:
    with pytest.raises(ManifestError) as caught:
        manifest(text)
    assert caught.value.place
    return str(caught.value)


def test_a_pod_says_who_it_is() -> None:
    pod = manifest(small())
    assert (pod.pod_name, pod.namespace, pod.container_name) == ("kube-apiserver", "kube-system", "kube-apiserver")
    assert pod.image == "registry.k8s.io/kube-apiserver:v1.31.14"
    assert pod.command == ("kube-apiserver", "--allow-privileged=true", "--secure-port=6443")
    assert pod.flags == {"allow-privileged": "true", "secure-port": "6443"}
    assert pod.audit_flags == {}
    assert (pod.liveness_host, pod.liveness_port, pod.secure_port) == (None, None, 6443)
    assert manifest(small(("  namespace: kube-system\n", ""))).namespace == "default"


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("registry.k8s.io/kube-apiserver:v1.29.4", (1, 29, 4)),
        ("registry:5000/kube-apiserver:v1.29.4-eks-1-29-3", (1, 29, 4)),
        ("k8s.gcr.io/kube-apiserver-amd64:v1.11.3", (1, 11, 3)),
        ("x/kube-apiserver:1.14", (1, 14, 0)),
        ("x/kube-apiserver:v1.30.0-rc.1", (1, 30, 0)),
        ("index.docker.io/rancher/hardened-kubernetes:v1.32.11-rke2r1", (1, 32, 11)),
        ("x/kube-apiserver:v1.33.8@sha256:" + "1" * 64, (1, 33, 8)),
        ("x/kube-apiserver@sha256:" + "1" * 64, None),
        ("registry:5000/kube-apiserver", None),
        ("x:v1.2.3/kube-apiserver", None),
        ("x/kube-apiserver:latest", None),
    ],
)
def test_the_version_is_that_of_the_image_tag(image: str, version: tuple[int, int, int] | None) -> None:
    assert manifest(small(("registry.k8s.io/kube-apiserver:v1.31.14", image))).version == version


@pytest.mark.parametrize(
    "items",
    [
        ("--audit-log-maxage=7",), ("'--audit-log-maxage=7'",), ('"--audit-log-maxage=7"',), ("--audit_log_maxage=7",),
        ("--audit-log-maxage", "'7'"), ("|-\n      --audit-log-maxage=7",), (">-\n      --audit-log-maxage=7",),
        ("# why\n      --audit-log-maxage=7",), ("!!str --audit-log-maxage=7",), ("--audit-log-maxage=7 # why",), ("&x --audit-log-maxage=7",),
    ],
)  # fmt: skip
def test_a_flag_is_read_in_every_form(items: tuple[str, ...]) -> None:
    pod = manifest(with_flags(*items))
    assert pod.flag("--audit-log-maxage") == pod.flag("audit_log_maxage") == "7"
    assert pod.audit_flags == {"audit-log-maxage": "7"}


def test_a_bool_without_a_value_is_true_and_takes_no_value() -> None:
    assert manifest(with_flags("--audit-log-compress", "--v=2")).audit_flags == {"audit-log-compress": "true"}
    assert manifest(with_flags("--audit-log-compress=false")).audit_flags == {"audit-log-compress": "false"}
    assert manifest(with_flags("--audit-log-compress")).audit_flags == {"audit-log-compress": "true"}
    assert "takes no separate value" in refusal(with_flags("--audit-log-compress", "'false'"))


def test_the_log_may_be_standard_output_in_two_items() -> None:
    assert manifest(with_flags("--audit-log-path", "'-'")).flag("audit-log-path") == "-"


def test_of_other_flags_the_last_one_wins_and_they_may_have_two_items_or_none() -> None:
    pod = manifest(with_flags("--v=1", "--v=2", "--bind-address", "0.0.0.0", "--profiling", "-v=3"))
    assert pod.flags == {
        "allow-privileged": "true",
        "secure-port": "6443",
        "v": "2",
        "bind-address": "0.0.0.0",
        "profiling": "true",
    }
    assert pod.flag("nothing") is None
    assert manifest(with_flags("audit-nothing", "-audience=1")).audit_flags == {}


def test_an_audit_flag_that_this_version_does_not_know_is_read_all_the_same() -> None:
    assert manifest(with_flags("--audit-dynamic-configuration", "--v=2")).audit_flags == {
        "audit-dynamic-configuration": "true"
    }


@pytest.mark.parametrize(
    ("items", "word"),
    [
        (("--audit-log-maxage=1", "--audit_log_maxage=1"), "twice (first in line 14)"),
        (("-audit-log-maxage=1",), "single dash"),
        (("--audit-log-maxage", "--v=2"), "no value: the next item is '--v'"),
        (("--audit-log-maxage",), "no value"),
        (("5",), "not a string"),
        (("--etcd-servers=x: y",), "not a string"),
        (("--",), "no arguments"),
    ],
)
def test_what_the_server_would_refuse_is_refused(items: tuple[str, ...], word: str) -> None:
    assert word in refusal(with_flags(*items))


def test_flags_may_stand_in_args_and_in_both() -> None:
    both = manifest(small(("    image:", "    args:\n    - --v=2\n    image:")))
    assert both.command == ("kube-apiserver", "--allow-privileged=true", "--secure-port=6443", "--v=2")
    assert both.flag_list[-1].item.path == ("spec", "containers", 0, "args", 0)
    across = small(("    - --secure-port=6443\n    image:", "    - --secure-port\n    args:\n    - '6444'\n    image:"))
    assert manifest(across).secure_port == 6444


def test_the_container_is_found_by_what_it_runs() -> None:
    sidecar = "  containers:\n  - name: kube-apiserver\n    image: x\n  - args: [kube-apiserver]\n    command: [etcd]\n"
    pod = manifest(small(("  containers:\n", sidecar), ("    - kube-apiserver", "    - /usr/local/bin/kube-apiserver")))
    assert pod.container_path == ("spec", "containers", 2)


@pytest.mark.parametrize("word", ["apiserver", "kube-apiserver"])
def test_hyperkube_is_the_api_server_of_old(word: str) -> None:
    pod = manifest(small(("    - kube-apiserver\n", f"    - /hyperkube\n    - {word}\n")))
    assert pod.program_words == 2
    assert pod.flags == {"allow-privileged": "true", "secure-port": "6443"}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (small(("kind: Pod", "kind: Deployment")), "the kind is not Pod"),
        (small(("kind: Pod\n", "")), "the kind is not Pod"),
        (small(("    - kube-apiserver\n", "    - etcd\n")), "no container runs kube-apiserver"),
        (small(("    - kube-apiserver\n", "    - /hyperkube\n    - proxy\n")), "no container runs kube-apiserver"),
        (small((COMMAND, "  - command: []\n")), "no container runs kube-apiserver"),
        (small(("    - kube-apiserver\n", "    - /bin/sh\n    - -c\n    - exec kube-apiserver\n")), "wrapper ('sh')"),
        (small((COMMAND, "  - command: [/bin/bash, -ec]\n    args: [kube-apiserver --v=2]\n")), "wrapper ('bash')"),
        (small((COMMAND, "  - command: [kube-apiserver --v=2]\n")), "one item"),
        (small(("  containers:\n", "  containers:\n  - command: [kube-apiserver]\n")), "more than one"),
        (
            small(
                (
                    "metadata:\n  labels:\n    component: kube-apiserver\n  name: kube-apiserver\n  namespace: kube-system\n",
                    "",
                )
            ),
            "no metadata",
        ),
        (small(("spec:", "spec: 3\nx:")), "spec has the wrong type"),
        (small(("  containers:", "  containers: {}\n  x:")), "spec.containers is not a list"),
        (small(("  containers:\n", "  containers:\n  - 3\n")), "spec.containers[0]"),
        (
            small(("image: registry.k8s.io/kube-apiserver:v1.31.14", "image: 3")),
            "spec.containers[0].image is not a string",
        ),
        (small(("      name: k8s-certs\n      readOnly", "      readOnly")), "volumeMounts[0] lacks name or mountPath"),
        (small(("mountPath: /etc/kubernetes/pki", "mountPath: {PKI}")), "mountPath is not a string"),
        (small(("      path: /etc/kubernetes/pki\n", "")), "spec.volumes[0].hostPath lacks a path"),
        (small(("  - hostPath:\n      path", "  - hostPath:\n      path: 3\n      x")), "path is not a string"),
    ],
)
def test_what_is_no_static_pod_of_the_api_server_is_refused(text: str, word: str) -> None:
    assert word in refusal(text)


PROBE = "    livenessProbe:\n      httpGet:\n        host: 192.0.2.1\n        port: {port}\n    ports:\n    - name: a\n      containerPort: 1\n    - name: probe-port\n      containerPort: 6444\n    volumeMounts"


@pytest.mark.parametrize(
    ("port", "number"), [("6443", 6443), ("probe-port", 6444), ("'6445'", 6445), ("other", None), ("true", None)]
)
def test_the_port_of_the_liveness_probe_may_have_a_name(port: str, number: int | None) -> None:
    pod = manifest(small(("    volumeMounts", PROBE.format(port=port))))
    assert (pod.liveness_host, pod.liveness_port) == ("192.0.2.1", number)


def test_a_secure_port_that_is_none_is_refused_when_it_is_asked_for() -> None:
    pod = manifest(small(("--secure-port=6443", "--secure-port=<port>")))
    with pytest.raises(ManifestError):
        _ = pod.secure_port
    assert manifest(small(("    - --secure-port=6443\n", ""))).secure_port == 6443


def test_a_container_path_is_resolved_through_the_longest_mount() -> None:
    pod = manifest(
        with_mount("/var/log/", "logs", host="/srv/logs/", kind="Directory").replace(
            "/etc/kubernetes/pki", "/var/log/pki"
        )
    )
    found = pod.host_path("/var/log/x/../a/audit.log")
    assert found
    assert (found.path, found.mount_path, found.volume, found.type) == (
        "/srv/logs/a/audit.log",
        "/var/log",
        "logs",
        "Directory",
    )
    assert (found.read_only, found.exact) == (False, False)
    certificates = pod.host_path("/var/log/pki")
    assert certificates
    assert (certificates.path, certificates.read_only, certificates.exact) == ("/var/log/pki", True, True)
    assert pod.host_path("/var/logs") is None


def test_a_mount_of_the_root_covers_everything() -> None:
    found = manifest(with_mount("/", "root", host="/rootfs")).host_path("/a/b")
    assert found
    assert found.path == "/rootfs/a/b"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (with_mount("/a", "x", mount_more="      subPath: sub\n"), "a subPath"),
        (with_mount("/a", "x", mount_more="      subPathExpr: $(Y)\n"), "a subPath"),
        (with_mount("/a", "x").replace("    hostPath:\n      path: /a\n", "    emptyDir: {}\n"), "no hostPath"),
        (with_mount("/a", "x").replace("  - name: x\n    hostPath:\n      path: /a\n", ""), "not there"),
        (with_mount("/a", "x", more="  - name: x\n    hostPath: {path: /b}\n"), "twice there"),
    ],
)
def test_a_path_on_anything_but_one_plain_host_path_is_refused(text: str, word: str) -> None:
    with pytest.raises(ManifestError, match=word) as caught:
        manifest(text).host_path("/a/b")
    assert caught.value.place
    with pytest.raises(ManifestError, match="absolute"):
        manifest(text).host_path("a/b")


def test_annotations_are_read() -> None:
    assert manifest(small(("  labels:", "  annotations:\n    a: b\n  labels:"))).annotations == {"a": "b"}
