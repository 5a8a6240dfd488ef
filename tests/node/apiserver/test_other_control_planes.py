"""Who the other control planes are, by the API's own objects, and what their answers mean for a restart here."""

from __future__ import annotations

from typing import Any

import pytest

from auditctl.findings import Severity
from auditctl.node.apiserver.other_control_planes import ClusterServers, OtherServer, judged, members

HERE = ("203.0.113.1", 6443)


def node(name: str, address: str, ready: str = "True", message: str = "") -> dict[str, Any]:
    """As the API lists it."""
    condition = {"type": "Ready", "status": ready, "reason": "KubeletNotReady", "message": message}
    addresses = [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]
    return {"metadata": {"name": name}, "status": {"addresses": addresses, "conditions": [condition]}}


def pod(name: str, address: str, port: int = 6443) -> dict[str, Any]:
    command = ["kube-apiserver", f"--advertise-address={address}", f"--secure_port={port}", "--allow-privileged"]
    return {
        "metadata": {"name": f"kube-apiserver-{name}"},
        "spec": {"nodeName": name, "containers": [{"command": command}]},
    }


def test_the_flags_of_the_mirror_pods_say_which_is_this_one_and_where_the_others_answer() -> None:
    nodes = [node("a", "203.0.113.1"), node("b", "203.0.113.2")]
    pods = [pod("a", "203.0.113.1"), pod("b", "198.51.100.2", 7443)]
    assert members(nodes, pods, HERE) == ClusterServers("a", (OtherServer("b", "198.51.100.2", 7443),))


def test_a_control_plane_without_mirror_pod_is_asked_at_its_nodes_address() -> None:
    nodes = [node("a", "203.0.113.1"), node("b", "203.0.113.2")]
    found = members(nodes, [pod("a", "203.0.113.1")], HERE)
    assert found == ClusterServers("a", (OtherServer("b", "203.0.113.2", 6443),))


def test_a_control_plane_whose_node_has_lost_kubeadms_label_counts_by_its_pod() -> None:
    found = members([node("a", "203.0.113.1")], [pod("a", "203.0.113.1"), pod("b", "203.0.113.2")], HERE)
    assert found is not None
    assert [one.node for one in found.others] == ["b"]


def test_without_pods_the_address_of_this_machine_says_which_node_it_is() -> None:
    found = members([node("a", "127.0.0.1"), node("b", "203.0.113.2")], [], HERE)
    assert found is not None
    assert (found.own, [one.node for one in found.others]) == ("a", ["b"])


@pytest.mark.parametrize("addresses", [("203.0.113.7", "203.0.113.8"), ("127.0.0.1", "127.0.0.2")])
def test_where_it_cannot_be_told_which_one_is_this_nothing_is_said(addresses: tuple[str, str]) -> None:
    assert members([node("a", addresses[0]), node("b", addresses[1])], [], HERE) is None


def test_the_only_control_plane_has_no_others() -> None:
    assert members([node("a", "203.0.113.9")], [], HERE) == ClusterServers("a", ())


def test_one_that_does_not_serve_is_an_error_that_names_it_and_why() -> None:
    cluster = ClusterServers("a", (OtherServer("b", "203.0.113.2", 6443), OtherServer("c", "2001:db8::3", 6443)))
    (finding,) = judged(cluster, ["", "its API server does not answer"])
    assert finding.severity is Severity.ERROR
    assert finding.message.startswith("control plane c ([2001:db8::3]:6443): its API server does not answer")


def test_where_all_serve_a_node_that_is_not_ready_is_a_warning_with_the_reason_of_its_condition() -> None:
    found = members(
        [node("a", "127.0.0.1"), node("b", "203.0.113.2", "False", "cni plugin not\ninitialized")], [], HERE
    )
    assert found is not None
    warning, info = judged(found, [""])
    assert warning.severity is Severity.WARNING
    assert (
        "b is not Ready (KubeletNotReady: cni plugin not initialized), but its API server is ready" in warning.message
    )
    assert (info.severity, info.message) == (Severity.INFO, "1 other control plane serves meanwhile: b")
