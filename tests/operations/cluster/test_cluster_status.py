"""``status --server`` over a stand-in cluster: six states, the rights, the formats; with the official client and without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from standin_cluster import STRANGER, TOKEN, Cluster

from auditctl.cluster.connection import KubeconfigChoice
from auditctl.cluster.official_client import OfficialClient
from auditctl.cluster.plain_connection import PlainConnection
from auditctl.errors import RefusedError
from auditctl.operations.cluster.collect import collect_cluster
from auditctl.operations.cluster.status import report_of
from auditctl.operations.controlplane import ControlPlane

pytestmark = pytest.mark.timeout(120)
FIRST, SECOND = "a" * 64, "b" * 64
WITHOUT_LIBRARY = (
    "import sys; sys.modules['kubernetes'] = None; import importlib.util as u; found = u.find_spec; "
    "u.find_spec = lambda name, *rest: None if name == 'kubernetes' else found(name, *rest); "
    "from auditctl.__main__ import main; sys.argv[0] = 'auditctl'; sys.exit(main())"
)


def look(cluster: Cluster, *words: str, kubeconfig: Path | None = None, plain: bool = False) -> tuple[int, str, str]:
    """Run the command line; ``plain`` as the single file does, without the official client."""
    path = kubeconfig or cluster.kubeconfig()
    start = ["-c", WITHOUT_LIBRARY] if plain else ["-m", "auditctl"]
    command = [sys.executable, *start, "status", "--server", "--kubeconfig", str(path), *words]
    environment = {**os.environ, "HOME": str(cluster.folder), "NO_PROXY": "*"}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert "Traceback" not in ran.stderr
    return ran.returncode, ran.stdout, ran.stderr


def report(cluster: Cluster, *, plain: bool = False) -> dict[str, Any]:
    """What ``-o json`` prints, without a process of its own: the official client takes a second to import."""
    plane = ControlPlane(kubeconfig=cluster.kubeconfig())
    kind = PlainConnection if plain else OfficialClient
    found = collect_cluster(kind.of(KubeconfigChoice((cluster.kubeconfig(),))), plane.clock)
    return report_of(found, plane).to_dict()


def checks(found: dict[str, Any]) -> dict[str, str]:
    return {row["check"]: row["message"] for row in found["findings"] if row["severity"] != "info"}


def digests(cluster: Cluster, **digest: str) -> None:
    for node in cluster.servers:
        cluster.set_digest(node, digest.get(node, FIRST))


@pytest.mark.parametrize("plain", [False, True], ids=["official-client", "plain-client"])
def test_all_well_is_0_and_every_server_was_asked_under_an_audit_id_of_its_own(cluster: Cluster, plain: bool) -> None:
    """Ready, equal, recording, kept; nothing but GET, and nothing that the shipped rights do not cover."""
    digests(cluster)

    found = report(cluster, plain=plain)

    assert (found["exitCode"], found["outcome"], checks(found)) == (0, "Unchanged", {})
    assert found["summary"] == (
        "3 of 3 API servers are ready, 3 of 3 record, their audit flags are equal, their policies are equal"
    )
    rows = found["cluster"]["servers"]
    assert [row["node"] for row in rows] == ["cp1", "cp2", "cp3"]
    assert all(row["ready"] and row["readsStorage"] and row["inEndpoints"] and row["keptAtUpgrade"] for row in rows)
    assert {row["auditing"]["state"] for row in rows} == {"recording"}
    assert [row["runningFlags"]["audit-log-maxage"] for row in rows] == ["30"] * 3
    for row, server in zip(rows, cluster.servers.values(), strict=True):
        assert row["auditID"] in [audit_id for _, audit_id, _ in server.requests]
    assert len({row["auditID"] for row in rows}) == 3
    assert {token for server in cluster.servers.values() for _, _, token in server.requests} == {TOKEN}


def test_a_first_enable_leaves_no_digest_so_whether_the_policies_are_equal_is_said_to_be_unknown(
    cluster: Cluster,
) -> None:
    """No reason for exit code 1, but the sentence does not claim it."""
    found = report(cluster)

    assert (found["exitCode"], found["cluster"]["policiesEqual"]) == (0, None)
    assert "whether their policies are equal is not known" in found["summary"]
    cluster.set_digest("cp1", FIRST)
    assert report(cluster)["cluster"]["policiesEqual"] is None


def test_one_flag_differs(cluster: Cluster) -> None:
    """Which flag, which node, both values; the others are not blamed. Two spellings of one value are no difference."""
    digests(cluster)
    cluster.set_flag("cp1", "audit-log-maxage", "0x1e")
    assert report(cluster)["cluster"]["flagsEqual"] is True
    cluster.set_flag("cp1", "audit-log-maxage", "30")
    cluster.set_flag("cp2", "audit-log-maxage", "7")

    found = report(cluster)

    assert found["exitCode"] == 1
    assert found["cluster"]["differences"] == [
        {"setting": "--audit-log-maxage", "values": {"cp1": "30", "cp2": "7", "cp3": "30"}}
    ]
    assert checks(found)["flags-differ"] == "--audit-log-maxage is 30 on cp1, cp3; 7 on cp2"
    assert "would change the audit settings of cp2: --audit-log-maxage" in checks(found)["kubeadm-config"]


def test_one_audits_not_at_all(cluster: Cluster) -> None:
    """One sentence, not one for each flag."""
    for name, _ in cluster.audit_flags("cp3"):
        cluster.set_flag("cp3", name, None)
    cluster.servers["cp3"].running = {"audit-policy-file": "", "audit-log-path": ""}

    found = report(cluster)

    assert checks(found)["flags-differ"] == "auditing is on on cp1, cp2; off on cp3"
    assert [row["setting"] for row in found["cluster"]["differences"]] == ["auditing"]


def test_one_policy_differs(cluster: Cluster) -> None:
    """By the digest that auditctl writes into the manifest."""
    digests(cluster, cp2=SECOND)

    found = report(cluster)

    assert (found["exitCode"], found["cluster"]["policiesEqual"]) == (1, False)
    assert checks(found) == {
        "policies-differ": f"the policies differ: the policy's SHA-256 is {FIRST} on cp1, cp3; {SECOND} on cp2"
    }
    _, text, _ = look(cluster)
    assert "bbbbbbbbbbbb DIFFERS" in text
    assert "aaaaaaaaaaaa DIFFERS" not in text


def test_a_policy_that_audits_our_own_reads_at_another_level_differs_whatever_the_manifests_say(
    cluster: Cluster,
) -> None:
    """A policy that was changed in place leaves no digest. Requests of others can hide it, but never make it up."""
    cluster.servers["cp2"].level = "None"

    found = report(cluster)

    record = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"
    text = f"the policies differ: the level of GET {record} is Metadata on cp1, cp3; None on cp2"
    assert (found["exitCode"], checks(found)["policies-differ"]) == (1, text)
    assert found["cluster"]["servers"][1]["auditLevels"][record] == ["None"]

    cluster.noise = ("None", "Metadata")
    assert report(cluster)["cluster"]["policiesEqual"] is None


def test_one_does_not_record(cluster: Cluster) -> None:
    """Its log is full: what it counts as lost grows while it is asked."""
    digests(cluster)
    cluster.servers["cp2"].is_recording = False

    found = report(cluster)

    assert found["exitCode"] == 1
    assert checks(found) == {"not-recording": "cp2 does not record: 1 event lost during our requests (log)"}
    assert found["summary"].startswith("3 of 3 API servers are ready, 2 of 3 record")


def test_events_lost_before_are_said_too(cluster: Cluster) -> None:
    """It records again, but the log has a hole."""
    digests(cluster)
    cluster.servers["cp1"].lost = 12

    found = report(cluster)

    assert found["exitCode"] == 1
    assert checks(found)["events-lost"].startswith("cp1: 12 audit events could not be written to the log")


@pytest.mark.parametrize("plain", [False, True], ids=["official-client", "plain-client"])
def test_one_is_down_whether_its_kubelet_says_so_or_not(cluster: Cluster, plain: bool) -> None:
    """What refuses the connection is down at once; the API believes in it some seconds longer."""
    digests(cluster)
    cluster.stop("cp2", kubelet_notices=False)

    found = report(cluster, plain=plain)

    assert found["exitCode"] == 1
    assert checks(found) == {
        "apiserver-ready": f"cp2 is not ready: https://127.0.0.12:{cluster.port}: connection refused"
    }
    (row,) = [row for row in found["cluster"]["servers"] if row["node"] == "cp2"]
    assert (row["ready"], row["auditing"]["state"], row["kubeletSaysReady"]) == (False, "unknown", True)
    assert "2 of 3 API servers are ready, 2 of 3 record" in found["summary"]


def test_one_has_lost_its_etcd_member(cluster: Cluster) -> None:
    """/readyz lies for more than a minute then; a read of storage does not. The load balancer still leads to it."""
    digests(cluster)
    cluster.servers["cp3"].has_etcd = False

    found = report(cluster)

    assert found["exitCode"] == 1
    assert checks(found) == {
        "storage": "cp3 answers /readyz, but does not read its storage: no answer (no answer within 5 s)"
    }
    assert [row["ready"] for row in found["cluster"]["servers"]] == [True, True, False]


def test_a_control_plane_without_an_api_server_is_named(cluster: Cluster) -> None:
    """Its manifest is gone, so there is no mirror Pod; the Node is there."""
    digests(cluster)
    cluster.stop("cp3")
    cluster.pods["items"] = [one for one in cluster.pods["items"] if one["spec"]["nodeName"] != "cp3"]

    found = report(cluster)

    assert (
        checks(found)["apiserver-ready"] == "cp3 is a control plane, but the API shows no Pod of kube-apiserver on it"
    )
    assert found["summary"].startswith("2 of 3 API servers are ready")


def test_a_process_that_runs_with_other_flags_than_its_manifest(cluster: Cluster) -> None:
    """/flagz tells; a server without it (before 1.36) is judged by its manifest."""
    digests(cluster)
    cluster.servers["cp1"].running = {"audit-log-maxsize": "5"}

    found = report(cluster)
    assert "cp1: --audit-log-maxsize is 100 in the manifest and 5 in the process" in checks(found)["drift"]

    for server in cluster.servers.values():
        server.has_flagz = False
    found = report(cluster)
    assert (found["exitCode"], [row["runningFlags"] for row in found["cluster"]["servers"]]) == (0, [None] * 3)


def test_an_account_without_rights_is_told_which_text_grants_them(cluster: Cluster) -> None:
    """Refused (3), nothing was changed; without the right to read /metrics the rest is answered, and 1."""
    code, _, said = look(cluster, kubeconfig=cluster.kubeconfig(STRANGER))
    assert code == 3
    assert "the account may not read the Pods of kube-system (403)" in said
    assert "status --template rbac" in said

    code, _, said = look(cluster, kubeconfig=cluster.kubeconfig("nobody"))
    assert (code, "the credentials are not accepted" in said) == (3, True)

    for rule in cluster.rules:
        rule.body.get("nonResourceURLs", ["/metrics"]).remove("/metrics")
    found = report(cluster)
    assert found["exitCode"] == 1
    assert "the account may not read /metrics (403)" in checks(found)["recording-unknown"]


def test_no_right_of_the_shipped_text_is_too_much(cluster: Cluster) -> None:
    """Without any one of its rules something is not known."""
    digests(cluster)
    everything = cluster.rules
    assert (report(cluster)["exitCode"], report(cluster)["findings"]) == (0, [])
    for rule in everything:
        cluster.rules = [one for one in everything if one is not rule]
        try:
            found = report(cluster)
        except RefusedError:
            continue
        assert found["findings"] or None in [row["inEndpoints"] for row in found["cluster"]["servers"]], rule
    assert not any(word in json.dumps([one.body for one in everything]) for word in ("secrets", "create", "*"))


def test_contexts_and_formats(cluster: Cluster) -> None:
    """A context that is not there is a usage error that names those that are; prometheus has a sample a node."""
    digests(cluster)
    for plain in (False, True):
        code, _, said = look(cluster, "--context", "prd", plain=plain)
        assert (code, "it has away, prod" in said) == (2, True), said
        code, _, said = look(cluster, "--context", "away", plain=plain)
        assert (code, "no answer from https://127.0.0.1:1 (connection refused)" in said) == (3, True), said
    cluster.stop("cp2")
    code, text, _ = look(cluster, "-o", "prometheus")
    assert code == 0
    assert 'auditctl_cluster_apiserver_ready{node="cp2"} 0\n' in text
    assert 'auditctl_cluster_auditing_recording{node="cp1"} 1\n' in text
    assert 'auditctl_cluster_auditing_recording{node="cp2"}' not in text
    assert "auditctl_cluster_audit_flags_equal 1\n" in text
    _, text, _ = look(cluster, "-o", "yaml")
    assert 'command: "status"' in text
    _, text, _ = look(cluster)
    assert text.splitlines()[0].split() == [
        "NODE",
        "READY",
        "RECORDING",
        "FLAGS",
        "POLICY",
        "EVENTS",
        "LOST",
        "KEPT",
        "VERSION",
        "UP",
    ]


def test_a_credential_plugin_runs_with_the_official_client_and_is_named_where_that_is_missing(cluster: Cluster) -> None:
    """As kubectl runs it. A plugin that fails is the plugin's fault."""
    digests(cluster)
    plugin = cluster.folder / "plugin"
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": TOKEN}}
    plugin.write_text(f"#!/bin/sh\necho '{json.dumps(credential)}'\n")
    plugin.chmod(0o755)
    user = {"apiVersion": credential["apiVersion"], "command": str(plugin), "interactiveMode": "Never"}
    path = cluster.kubeconfig(exec=user)
    assert look(cluster, kubeconfig=path)[0] == 0

    code, _, said = look(cluster, kubeconfig=path, plain=True)
    assert (code, "runs a credential plugin; that needs the Python package kubernetes" in said) == (3, True), said

    plugin.write_text("#!/bin/sh\necho the device is locked >&2\nexit 1\n")
    code, _, said = look(cluster, kubeconfig=path)
    assert (code, "its credential plugin failed" in said) == (3, True), said
    assert TOKEN not in said


def test_kubeconfig_is_found_as_kubectl_finds_it(cluster: Cluster) -> None:
    """$KUBECONFIG, with several files merged; else ~/.kube/config; else it is said where one was looked for."""
    digests(cluster)
    whole = json.loads(cluster.kubeconfig().read_text())
    parts = [cluster.folder / "one", cluster.folder / "two"]
    parts[0].write_text(json.dumps({**whole, "users": []}))
    parts[1].write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "users": whole["users"]}))
    environment = {
        name: value for name, value in os.environ.items() if name not in ("KUBECONFIG", "AUDITCTL_KUBECONFIG")
    }
    environment |= {"HOME": str(cluster.folder), "NO_PROXY": "*"}
    command = [sys.executable, "-m", "auditctl", "status", "--server"]

    merged = {**environment, "KUBECONFIG": os.pathsep.join(map(str, parts))}
    ran = subprocess.run(command, capture_output=True, text=True, env=merged)
    assert ran.returncode == 0, ran.stderr
    if not Path("/etc/kubernetes/admin.conf").exists():  # a control plane has one of its own
        ran = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert (ran.returncode, "there is no kubeconfig" in ran.stderr) == (3, True)
    (cluster.folder / ".kube").mkdir()
    cluster.kubeconfig().rename(cluster.folder / ".kube/config")
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("system", ["macos", "windows"])
def test_it_runs_on_a_laptop_of_another_system(cluster: Cluster, system: str) -> None:
    """Nothing of a node is needed. (The imitation takes away what that system does not have.)"""
    digests(cluster)
    imitation = Path(__file__).parents[2] / "offnode/imitation"
    environment = {**os.environ, "NO_PROXY": "*", "PYTHONPATH": str(imitation), "AUDITCTL_TEST_SYSTEM": system}
    command = [sys.executable, "-m", "auditctl", "status", "--server", "--kubeconfig", str(cluster.kubeconfig())]

    ran = subprocess.run(command, capture_output=True, text=True, env=environment)

    assert (ran.returncode, "3 of 3 API servers are ready" in ran.stdout) == (0, True), ran.stderr


def test_only_get_is_sent(cluster: Cluster) -> None:
    """The stand-in answers nothing else, so a write would have failed; and the counters of all are read twice at least."""
    report(cluster)

    for server in cluster.servers.values():
        paths = [path for path, _, _ in server.requests]
        assert paths.count("/metrics") >= 2
        assert {"/readyz", "/flagz", "/metrics"} <= set(paths)
