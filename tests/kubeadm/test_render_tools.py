"""Settings for tools that own their machines: what is rendered carries the same policy, and the flags under the tool's names."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from auditctl import facts
from auditctl.errors import RefusedError
from auditctl.kubeadm.render import extras_for
from auditctl.kubeadm.render_tools import TOOLS, PolicyForTool, render_tool
from auditctl.manifest.document import load as load_yaml
from auditctl.policy.compare import differences
from auditctl.policy.embedded import embedded_policies
from auditctl.policy.load import load

FLAGS = {
    "audit-policy-file": "/etc/kubernetes/audit/policy.yaml",
    "audit-log-path": "/var/log/kubernetes/audit/audit.log",
    "audit-log-maxage": "30",
    "audit-log-maxbackup": "10",
    "audit-log-maxsize": "100",
}
ODD = """  # begins with spaces, in which a literal block would see its indentation
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [ResponseStarted]
omitManagedFields: true
rules:
- {level: Request, users: ["a: b", "#c", "it's"], omitManagedFields: false}
- level: Metadata
  omitStages: [RequestReceived]
"""
CARRYING = ("kubeadmcontrolplane", "talos", "kubespray", "kops")


def policy_of(text: str) -> PolicyForTool:
    loaded = load(text.encode()).policy
    assert loaded is not None
    return PolicyForTool(text, loaded)


def rendered(tool: str, text: str, **more: str) -> str:
    return render_tool(
        tool, extras_for({**FLAGS, **{name.replace("_", "-"): value for name, value in more.items()}}), policy_of(text)
    )


@pytest.mark.parametrize("tool", CARRYING)
@pytest.mark.parametrize("text", [*map(facts.policy_text, facts.policy_names()), ODD, f"---\n{ODD.lstrip()}"])
def test_the_policy_inside_decides_every_request_alike(tool: str, text: str) -> None:
    (found,) = embedded_policies(rendered(tool, text).encode())
    loaded = load(found.raw)

    assert loaded.error == ""
    assert loaded.policy is not None
    assert list(differences(policy_of(text).policy, loaded.policy)) == []


@pytest.mark.parametrize("tool", TOOLS)
def test_each_form_begins_with_its_trap_in_one_line(tool: str) -> None:
    first, second, *_ = rendered(tool, ODD).splitlines()
    assert first.startswith("# Trap: ")
    assert not second.startswith("#")


def value_of(tool: str, **more: str) -> Any:
    return load_yaml(rendered(tool, ODD, **more))


def test_cluster_api_gets_arguments_volumes_and_the_file() -> None:
    spec = value_of("kubeadmcontrolplane")["spec"]["kubeadmConfigSpec"]
    server, (file,) = spec["clusterConfiguration"]["apiServer"], spec["files"]

    assert {each["name"]: each["value"] for each in server["extraArgs"]} == FLAGS
    assert {each["hostPath"] for each in server["extraVolumes"]} == {
        FLAGS["audit-policy-file"],
        "/var/log/kubernetes/audit",
    }
    assert (file["path"], file["permissions"], file["owner"]) == (FLAGS["audit-policy-file"], "0600", "root:root")
    assert file["content"] == ODD


def test_talos_keeps_its_own_paths_and_gets_the_other_flags_as_texts() -> None:
    server = value_of("talos")["cluster"]["apiServer"]

    assert server["extraArgs"] == {"audit-log-maxage": "30", "audit-log-maxbackup": "10", "audit-log-maxsize": "100"}


def test_rke2_mounts_the_logs_directory_and_has_an_option_for_the_policy() -> None:
    value = value_of("rke2")

    assert value["audit-policy-file"] == FLAGS["audit-policy-file"]
    assert sorted(value["kube-apiserver-arg"]) == sorted(
        f"{k}={v}" for k, v in FLAGS.items() if k != "audit-policy-file"
    )
    assert value["kube-apiserver-extra-mount"] == ["/var/log/kubernetes/audit:/var/log/kubernetes/audit"]


def test_k3s_needs_no_mount() -> None:
    assert value_of("k3s") == {"kube-apiserver-arg": sorted(f"{name}={value}" for name, value in FLAGS.items())}


def test_kubespray_has_variables_of_its_own_and_takes_the_rest_as_arguments() -> None:
    value = value_of("kubespray", audit_log_compress="true")

    assert value["kubernetes_audit"] is True
    assert (value["audit_log_path"], value["audit_log_hostpath"]) == (
        FLAGS["audit-log-path"],
        "/var/log/kubernetes/audit",
    )
    assert (value["audit_log_maxage"], value["audit_log_maxbackups"], value["audit_log_maxsize"]) == (30, 10, 100)
    assert value["kube_kubeadm_apiserver_extra_args"] == {"audit-log-compress": "true"}


def test_kops_gets_numbers_for_its_numbers_and_refuses_what_it_has_no_field_for() -> None:
    spec = value_of("kops")["spec"]

    assert spec["kubeAPIServer"]["auditLogMaxAge"] == 30
    assert (spec["fileAssets"][0]["path"], spec["fileAssets"][0]["content"]) == (FLAGS["audit-policy-file"], ODD)
    with pytest.raises(RefusedError, match="audit-log-compress"):
        value_of("kops", audit_log_compress="true")


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool not in ("rke2", "k3s")])
def test_a_webhooks_file_is_refused_where_nothing_carries_it(tool: str) -> None:
    with pytest.raises(RefusedError, match="audit-webhook-config-file"):
        rendered(tool, ODD, audit_webhook_config_file="/etc/w.yaml")


def test_minikubes_script_puts_the_policy_where_the_server_sees_it(tmp_path: Path) -> None:
    """Run for real, with a program in minikube's place that writes its arguments down."""
    text = f"# END_OF_POLICY\n# $(touch pwned)\n{ODD}"
    program = tmp_path / "minikube"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$HOME/arguments"\n')
    program.chmod(0o755)
    script = rendered("minikube", text, audit_log_mode="a b; touch pwned")
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path)}
    subprocess.run(["bash", "-euc", script], cwd=tmp_path, env=environment, check=True)

    assert (tmp_path / ".minikube/files/etc/ssl/certs/audit-policy.yaml").read_text() == text
    assert (tmp_path / "arguments").read_text().splitlines() == [
        "start",
        "--extra-config=apiserver.audit-policy-file=/etc/ssl/certs/audit-policy.yaml",
        "--extra-config=apiserver.audit-log-path=-",
        "--extra-config=apiserver.audit-log-mode=a b; touch pwned",
    ]
    assert not (tmp_path / "pwned").exists()
