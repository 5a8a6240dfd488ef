"""What a node runs, written into kubeadm's own record: kubeadm would then write the very same manifest."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditctl.errors import ManifestError
from auditctl.kubeadm.clusterconfiguration import ClusterConfiguration, faults
from auditctl.kubeadm.persist import Fate, differences, plan_persist
from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest

GOLDEN = Path(__file__).parents[1] / "golden" / "kubeadm"
VERSIONS = sorted(path.name for path in GOLDEN.glob("v*"))
PAIRS = [("plain", "plain+log"), ("others", "others+log"), ("plain", "plain+log+webhook"), ("ipv6", "ipv6+log")]
AS_KUBEADM_STORES_IT = """\
apiServer: {}
apiVersion: kubeadm.k8s.io/v1beta4
clusterName: kubernetes
kind: ClusterConfiguration
kubernetesVersion: v1.36.2
"""
IN_V1BETA3 = """\
apiServer:
  extraArgs:
    authorization-mode: Node,RBAC # as ever
    profiling: "false"
  timeoutForControlPlane: 4m0s
apiVersion: kubeadm.k8s.io/v1beta3
kind: ClusterConfiguration
"""


def manifest_of(version: str, name: str) -> Manifest:
    return Manifest.of(Document.parse((GOLDEN / version / f"{name}.yaml").read_bytes(), name))


def configuration(text: str) -> ClusterConfiguration:
    return ClusterConfiguration.parse(text, "kubeadm-config")


def golden(version: str, name: str) -> str:
    head = "kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1beta4\n"
    return head + (GOLDEN / version / f"{name}.clusterconfiguration.yaml").read_text()


def meaning(text: str) -> tuple[object, object]:
    read = configuration(text)
    return {argument.name: argument.value for argument in read.arguments}, sorted(read.volumes)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_the_record_says_what_kubeadm_was_told_for_that_manifest(version: str, before: str, after: str) -> None:
    old = golden(version, before)
    plan = plan_persist(configuration(old), manifest_of(version, after))
    assert meaning(plan.after) == meaning(golden(version, after))
    assert not list(differences(configuration(plan.after), manifest_of(version, after)))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_the_order_of_arguments_is_that_of_the_manifest(version: str, before: str, after: str) -> None:
    manifest = manifest_of(version, after)
    plan = plan_persist(configuration(golden(version, before)), manifest)
    order = [flag.name for flag in manifest.flag_list]
    audit = [argument.name for argument in configuration(plan.after).arguments if argument.is_audit]
    assert audit == [name for name in order if name.startswith("audit-")]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_taking_it_out_again_gives_back_the_meaning_of_before(version: str, before: str, after: str) -> None:
    kept = plan_persist(configuration(golden(version, before)), manifest_of(version, after)).after
    assert meaning(plan_persist(configuration(kept), manifest_of(version, before)).after) == meaning(
        golden(version, before)
    )


def test_an_empty_section_as_kubeadm_stores_it_is_filled_and_emptied_byte_for_byte() -> None:
    on, off = manifest_of("v1.36.2", "plain+log"), manifest_of("v1.36.2", "plain")
    filled = plan_persist(configuration(AS_KUBEADM_STORES_IT), on)
    assert filled.after == AS_KUBEADM_STORES_IT.replace(
        "apiServer: {}\n",
        """\
apiServer:
  extraArgs:
  - name: audit-log-maxage
    value: "30"
  - name: audit-log-maxbackup
    value: "10"
  - name: audit-log-maxsize
    value: "100"
  - name: audit-log-path
    value: /var/log/kubernetes/audit/audit.log
  - name: audit-policy-file
    value: /etc/kubernetes/audit/policy.yaml
  extraVolumes:
  - hostPath: /var/log/kubernetes/audit
    mountPath: /var/log/kubernetes/audit
    name: audit-log
    pathType: DirectoryOrCreate
  - hostPath: /etc/kubernetes/audit/policy.yaml
    mountPath: /etc/kubernetes/audit/policy.yaml
    name: audit-policy
    pathType: File
    readOnly: true
""",
    )
    assert plan_persist(configuration(filled.after), off).after == AS_KUBEADM_STORES_IT


def test_the_older_dialect_keeps_its_map_and_its_comment() -> None:
    manifest = manifest_of("v1.31.14", "plain+log")
    plan = plan_persist(configuration(IN_V1BETA3), manifest)
    assert "    authorization-mode: Node,RBAC # as ever\n" in plan.after
    assert '    audit-log-maxage: "30"\n' in plan.after
    assert plan_persist(configuration(plan.after), manifest_of("v1.31.14", "plain")).after == IN_V1BETA3


def test_twice_changes_nothing() -> None:
    manifest = manifest_of("v1.36.2", "plain+log")
    once = plan_persist(configuration(AS_KUBEADM_STORES_IT), manifest).after
    assert not plan_persist(configuration(once), manifest).changes


def test_a_changed_value_is_one_line_of_difference() -> None:
    manifest = manifest_of("v1.36.2", "plain+log")
    once = plan_persist(configuration(AS_KUBEADM_STORES_IT), manifest).after
    stale = once.replace('value: "30"', 'value: "7" # days')
    found = list(differences(configuration(stale), manifest))
    assert [(one.fate, one.setting, one.manifest, one.configuration) for one in found] == [
        (Fate.CHANGED, "--audit-log-maxage", "30", "7")
    ]
    assert meaning(plan_persist(configuration(stale), manifest).after) == meaning(once)


def test_what_the_record_has_and_the_node_has_not_would_come_back() -> None:
    once = plan_persist(configuration(AS_KUBEADM_STORES_IT), manifest_of("v1.36.2", "plain+log")).after
    fates = {one.setting: one.fate for one in differences(configuration(once), manifest_of("v1.36.2", "plain"))}
    assert fates["--audit-policy-file"] is Fate.BACK
    assert fates["volume audit-log"] is Fate.BACK


def test_only_the_right_document_of_a_file_is_edited() -> None:
    text = "# mine\napiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n---\n" + AS_KUBEADM_STORES_IT
    text += "---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
    read = configuration(text)
    whole = read.whole(plan_persist(read, manifest_of("v1.36.2", "plain+log")).after)
    assert whole.startswith(text.partition("apiServer")[0])
    assert whole.endswith(text.partition("v1.36.2\n")[2])
    assert configuration(whole).audit_arguments["audit-log-maxage"] == "30"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: Pod\napiVersion: v1\n", "no ClusterConfiguration"),
        ("kind: ClusterConfiguration\napiVersion: kubeadm.k8s.io/v1\n", "'kubeadm.k8s.io/v1' is none of"),
        (IN_V1BETA3.replace('"false"', "false"), "quote it"),
        (AS_KUBEADM_STORES_IT.replace("{}", "\n  extraArgs:\n    a: b"), "apiServer.extraArgs is not a list"),
        ("kind: ClusterConfiguration\n\tx", "not readable as YAML"),
    ],
)
def test_what_kubeadm_would_not_read_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ManifestError, match=words.replace(".", r"\.")):
        configuration(text)


@pytest.mark.parametrize("value", ["", " null", " ~", " []"])
def test_keys_without_a_value_are_filled_each_in_its_place(value: str) -> None:
    """B13: two keys in a row with nothing behind them."""
    text = f"apiVersion: kubeadm.k8s.io/v1beta4\napiServer:\n  extraArgs:{value}\n  extraVolumes:{value}\nkind: ClusterConfiguration\n"
    golden = Path(__file__).parents[1] / "golden/kubeadm/v1.36.2/plain+log.yaml"
    manifest = Manifest.of(Document.parse(golden.read_bytes(), "m"))

    plan = plan_persist(ClusterConfiguration.parse(text, "x"), manifest)

    again = ClusterConfiguration.parse(plan.after, "x")
    assert list(differences(again, manifest)) == []
    assert plan.after.endswith("kind: ClusterConfiguration\n")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_volume_under_another_name_takes_the_place_of_the_recorded_one(version: str) -> None:
    """Two mounts of one mountPath end the Pod: the next kubeadm upgrade would leave no API server."""
    path = GOLDEN / version / "plain+log.yaml"
    text = path.read_text().replace("name: audit-policy\n", "name: audit-policy-2\n")
    idle = "  - hostPath:\n      path: /etc/kubernetes/audit/policy.yaml\n      type: File\n    name: audit-policy\n"
    text = text.replace("  volumes:\n", f"  volumes:\n{idle}", 1)
    renamed = Manifest.of(Document.parse(text.encode(), "renamed"))
    plan = plan_persist(configuration(golden(version, "plain+log")), renamed)
    after = configuration(plan.after)
    assert not list(differences(after, renamed))
    assert not list(faults(after, (1, 36)))
    assert "audit-policy-2" in {volume.name for volume in after.volumes}
