"""check, preflight-upgrade and render on a node that is just files: each answer with its evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from auditedfolder import POST_ONLY, give
from ruamel.yaml import YAML

from auditctl import facts
from auditctl.errors import PolicyError, RefusedError, UsageError
from auditctl.manifest.document import load
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.kubeadm.config import check
from auditctl.operations.kubeadm.render import rendered
from auditctl.operations.kubeadm.upgrade import preflight_upgrade
from auditctl.report import Report

GOLDEN = Path(__file__).parents[2] / "golden" / "kubeadm"

HEAD = "kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta4\n"


@pytest.fixture
def plane(tmp_path: Path) -> ControlPlane:
    return ControlPlane(rootfs=tmp_path)


def checks(report: Report) -> set[str]:
    return {finding.check for finding in report.findings if finding.severity.value != "info"}


def test_a_record_that_has_it_all_keeps_it_and_one_without_loses_it_line_by_line(plane: ControlPlane) -> None:
    give(plane, "v1.36.2", facts.policy_text("baseline"))
    source = plane.rootfs / "kubeadm.yaml"
    source.write_text(HEAD + (GOLDEN / "v1.36.2/plain+log.clusterconfiguration.yaml").read_text())
    assert check(plane, source).exit_code == 0
    source.write_text(HEAD + (GOLDEN / "v1.36.2/plain.clusterconfiguration.yaml").read_text())
    report = check(plane, source)
    assert report.exit_code == 1
    lost = [finding.message for finding in report.findings]
    assert len(lost) == 7
    assert any("--audit-policy-file" in text and "would be lost" in text for text in lost)


def test_the_retention_that_nobody_set_changes_with_1_36(plane: ControlPlane) -> None:
    give(plane, "v1.35.6", facts.policy_text("baseline"), drop="maxage")
    assert checks(preflight_upgrade(plane, "1.36", None)) == {"flag-default"}
    give(plane, "v1.35.6", facts.policy_text("baseline"))
    report = preflight_upgrade(plane, "1.36", None)
    assert (report.exit_code, checks(report)) == (0, set())


def test_a_maxsize_of_zero_changes_its_meaning_with_1_36_and_not_before(plane: ControlPlane) -> None:
    give(plane, "v1.33.13", facts.policy_text("baseline"), **{"maxsize=100": "maxsize=0"})
    assert checks(preflight_upgrade(plane, "1.35", None)) == set()
    assert checks(preflight_upgrade(plane, "1.36", None)) == {"flag-meaning"}


def test_a_policy_version_that_goes_away_is_told_with_the_command_that_converts_it(plane: ControlPlane) -> None:
    old = facts.policy_text("metadata").replace("audit.k8s.io/v1", "audit.k8s.io/v1beta1")
    give(plane, "v1.31.14", old, **{"kube_apiserver:v1.31.14": "kube-apiserver:v1.23.9"})
    report = preflight_upgrade(plane, "1.24", None)
    assert "policy" in checks(report)
    assert any("auditctl policy convert" in finding.fix for finding in report.findings)


def test_exec_that_becomes_a_get_is_told_once_the_upgrade_crosses_1_30(plane: ControlPlane) -> None:
    give(plane, "v1.31.14", POST_ONLY, **{"kube_apiserver:v1.31.14": "kube-apiserver:v1.29.9"})
    assert checks(preflight_upgrade(plane, "1.30", None)) == {"exec-over-get"}
    give(plane, "v1.31.14", POST_ONLY)
    assert checks(preflight_upgrade(plane, "1.32", None)) == set()


def test_a_record_in_a_dialect_that_the_new_kubeadm_does_not_read_is_told(plane: ControlPlane) -> None:
    """v1beta3 left kubeadm with 1.37; a kubeadm of 1.36 can still convert it."""
    give(plane, "v1.36.2", facts.policy_text("baseline"))
    source = plane.rootfs / "kubeadm.yaml"
    own = 'apiServer:\n  extraArgs:\n    audit-log-maxage: "30"\n'
    source.write_text(f"apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\n{own}")
    report = preflight_upgrade(plane, "1.37", source)
    (told,) = (finding for finding in report.findings if finding.check == "kubeadm-dialect")
    assert (report.exit_code, told.file) == (1, str(source))
    assert "no longer reads from 1.37 on" in told.message
    assert "kubeadm config migrate" in told.fix
    assert "kubeadm-dialect" not in checks(preflight_upgrade(plane, "1.36", source))

    source.write_text(HEAD + (GOLDEN / "v1.36.2/plain+log.clusterconfiguration.yaml").read_text())
    assert "kubeadm-dialect" not in checks(preflight_upgrade(plane, "1.37", source))


def test_a_version_that_the_tables_do_not_know_is_not_promised_anything(plane: ControlPlane) -> None:
    give(plane, "v1.36.2", facts.policy_text("baseline"))
    assert checks(preflight_upgrade(plane, "1.37", None)) == set()
    report = preflight_upgrade(plane, "1.38", None)
    assert (report.exit_code, checks(report)) == (1, {"version-unknown"})
    assert "keep their meaning" not in report.summary


def test_rendering_without_a_manifest_gives_the_defaults_and_an_unknown_form_is_usage(plane: ControlPlane) -> None:
    report = rendered(plane, "patches", "1.36", {"audit-log-maxage": "7"})
    assert '"value": "--audit-log-maxage=7"' in report.summary
    assert '"value": "--audit-policy-file=/etc/kubernetes/audit/policy.yaml"' in report.summary
    with pytest.raises(UsageError, match="not one of"):
        rendered(plane, "helm", None, {})


def test_a_job_runs_enable_on_the_named_node_from_a_pinned_image(plane: ControlPlane) -> None:
    """As root, on the node itself; a tag could be another program tomorrow."""
    image = f"registry.example/auditctl@sha256:{'a' * 64}"
    text = rendered(plane, "job", None, {"audit-log-maxage": "7"}, image=image, node="cp-1").summary
    job: Any = load(text)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert (job["kind"], pod["nodeName"], pod["hostPID"], pod["hostNetwork"]) == ("Job", "cp-1", True, True)
    assert container["image"] == image
    assert container["args"] == ["--on-host", "/host", "enable", "--set", "audit-log-maxage=7"]
    assert pod["volumes"] == [{"name": "node", "hostPath": {"path": "/"}}]
    with pytest.raises(UsageError, match="not pinned"):
        rendered(plane, "job", None, {}, image="registry.example/auditctl:latest")
    with pytest.raises(UsageError, match="are for --as job"):
        rendered(plane, "kind", None, {}, image=image)
    assert "REGISTRY/auditctl@sha256:DIGEST" in rendered(plane, "job", None, {}).summary


def test_a_job_carries_the_policy_that_is_named(plane: ControlPlane, tmp_path: Path) -> None:
    """A shipped one by its name; a file in a ConfigMap, mounted below the folder that becomes the program's root."""
    file = tmp_path / "p.yaml"
    file.write_text(facts.policy_text("quiet"))
    config, job = YAML(typ="safe", pure=True).load_all(rendered(plane, "job", None, {}, policy=str(file)).summary)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mount = container["volumeMounts"][1]

    assert config["data"]["policy.yaml"] == file.read_text()
    assert pod["volumes"][1] == {"name": mount["name"], "configMap": {"name": config["metadata"]["name"]}}
    assert f"/host{container['args'][-1]}" == f"{mount['mountPath']}/policy.yaml"
    assert container["args"][-2] == "--policy"
    assert '"enable", "--policy", "detect"]' in rendered(plane, "job", None, {}, policy="detect").summary


def test_a_named_policy_is_never_left_out_without_a_word(plane: ControlPlane, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(facts.policy_text("quiet"))

    for form in ("cluster-configuration", "rke2", "k3s"):
        text = rendered(plane, form, None, {}, policy=str(file)).summary
        assert f"# Not carried: put the policy ({file}) at /etc/kubernetes/audit/policy.yaml of" in text
        assert "# Not carried" not in rendered(plane, form, None, {}).summary
    first = "# First: auditctl policy show quiet > ./policy.yaml"
    assert rendered(plane, "kind", None, {}, policy="quiet").summary.splitlines()[0] == first
    kind: Any = load(rendered(plane, "kind", None, {}, policy=str(file)).summary)
    assert str(file) in [mount["hostPath"] for mount in kind["nodes"][0]["extraMounts"]]
    with pytest.raises(UsageError, match="no place for a policy"):
        rendered(plane, "patches", None, {}, policy=str(file))


def test_a_tool_carries_the_nodes_own_policy_or_the_one_that_is_named(plane: ControlPlane, tmp_path: Path) -> None:
    own, named = (
        f"apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: {level}\n" for level in ("Request", "None")
    )
    give(plane, "v1.36.2", own)
    file = tmp_path / "map.yaml"
    file.write_text("kind: ConfigMap\ndata:\n  p: |\n" + "".join(f"    {line}\n" for line in named.splitlines()))

    assert "- level: Request" in rendered(plane, "talos", None, {}).summary
    text = rendered(plane, "talos", None, {}, policy=str(file)).summary
    assert text.endswith("    auditPolicy:\n" + "".join(f"      {line}\n" for line in named.splitlines()).rstrip("\n"))


def test_a_policy_that_the_server_refuses_goes_to_no_tool(plane: ControlPlane, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: []\n")
    with pytest.raises(PolicyError):
        rendered(plane, "kops", None, {}, policy=str(file))
    file.write_bytes("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None}]\n".encode("utf-16"))
    with pytest.raises(RefusedError, match="not UTF-8"):
        rendered(plane, "kops", None, {}, policy=str(file))


def record(text: str = "", *, name: str = "plain+log") -> str:
    return HEAD + (GOLDEN / f"v1.36.2/{name}.clusterconfiguration.yaml").read_text() + text


@pytest.mark.parametrize(
    ("old", "new", "words", "fix"),
    [
        ("name: audit-log-maxage", "name: audit-log-max-age", "--audit-log-max-age", "audit-log-maxage"),
        (
            "name: audit-log-maxage",
            "name: --audit-log-maxage",
            "kubeadm writes ----audit-log-maxage=",
            "audit-log-maxage",
        ),
        (
            "  extraVolumes:\n",
            "  extraVolumes:\n  - {name: dup, hostPath: /var/log/a, mountPath: /var/log/kubernetes/audit/}\n",
            "is mounted at /var/log/kubernetes/audit, as volume dup is",
            "take it out of",
        ),
    ],
)
def test_a_record_that_would_not_start_the_server_is_said_to_be_one(
    plane: ControlPlane, old: str, new: str, words: str, fix: str
) -> None:
    """B11: "would come back (write it into FILE)" is the wrong way round where the upgrade ends in an outage."""
    give(plane, "v1.36.2", facts.policy_text("baseline"))
    source = plane.rootfs / "kubeadm.yaml"
    text = record()
    assert text.count(old) == 1
    source.write_text(text.replace(old, new))

    report = check(plane, source)

    assert report.exit_code == 1
    assert "the API server would not start with" in report.summary
    assert words in report.findings[0].message
    assert fix in report.findings[0].fix
    assert source.read_text().splitlines()[report.findings[0].line - 1].strip()
    assert "would come back" not in report.findings[0].message


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_a_configmap_is_taken_as_kubectl_prints_it(plane: ControlPlane, form: str) -> None:
    """B12: the most natural input."""
    give(plane, "v1.36.2", facts.policy_text("baseline"))
    source = plane.rootfs / "configmap"
    item = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"ClusterConfiguration": record()}}
    shown = "".join(f"    {line}\n" for line in record().splitlines())
    text = (
        f"apiVersion: v1\ndata:\n  ClusterConfiguration: |\n{shown}kind: ConfigMap\nmetadata:\n  name: kubeadm-config\n"
    )
    source.write_text(json.dumps(item, indent=4) if form == "json" else text)

    assert check(plane, source).exit_code == 0

    source.write_text(source.read_text().replace("ClusterConfiguration", "Other", 1))
    with pytest.raises(RefusedError, match="no key ClusterConfiguration under data"):
        check(plane, source)


@pytest.mark.parametrize("asked", ["v1.38.1", "1.99"])
def test_a_version_beyond_the_tables_is_said_to_be_unknown(plane: ControlPlane, asked: str) -> None:
    """D11: what is not known is not promised."""
    give(plane, "v1.36.2", facts.policy_text("baseline"))

    report = preflight_upgrade(plane, asked, None)

    assert report.exit_code == 1
    assert report.findings[0].check == "version-unknown"
    assert "keep their meaning" not in report.summary


def test_an_upgrade_does_not_go_back(plane: ControlPlane) -> None:
    give(plane, "v1.36.2", facts.policy_text("baseline"))

    assert "version-older" in checks(preflight_upgrade(plane, "1.35", None))
    assert "version-older" not in checks(preflight_upgrade(plane, "1.37", None))
