"""Mirror Pods, endpoints and Nodes as a real cluster of three showed them."""

from __future__ import annotations

import json
from pathlib import Path

from auditctl.cluster.servers import control_plane_nodes, endpoint_hosts, mirror_servers

GOLDEN = Path(__file__).parents[1] / "golden/cluster"


def test_a_recorded_cluster() -> None:
    """Node, address, flags, readiness; no digest, for these manifests are a first enable's."""
    found = mirror_servers(json.loads((GOLDEN / "pods.json").read_text()))

    assert [one.node for one in found] == ["cp1", "cp2", "cp3"]
    assert [str(one.address) for one in found] == [f"https://10.77.0.1{number}:6443" for number in (1, 2, 3)]
    assert {one.audit_flags["audit-log-maxage"] for one in found} == {"30"}
    assert {(one.policy_sha256, one.version, one.is_ready) for one in found} == {("", "v1.36.2", True)}
    assert endpoint_hosts(json.loads((GOLDEN / "endpointslice.json").read_text())) == {
        one.address.host for one in found
    }
    assert control_plane_nodes(json.loads((GOLDEN / "nodes.json").read_text())) == ("cp1", "cp2", "cp3")


def test_flags_in_two_words_in_args_and_with_one_dash() -> None:
    """As pflag reads them; an IPv6 address is written in brackets."""
    container = {
        "name": "kube-apiserver",
        "command": ["kube-apiserver"],
        "args": ["-audit-log-maxage", "7", "--x", "--y"],
    }
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [container]}, "status": {"hostIP": "fd00::1"}}

    (found,) = mirror_servers({"items": [pod]})

    assert dict(found.flags) == {"audit-log-maxage": "7", "x": "", "y": ""}
    assert (found.node, str(found.address), found.is_ready) == ("p", "https://[fd00::1]:6443", None)


def test_what_is_no_list_of_pods_gives_nothing() -> None:
    """Whatever answers."""
    assert mirror_servers({}) == ()
    assert mirror_servers({"items": [7, {}]})[0].node == ""
    assert endpoint_hosts({"endpoints": "x"}) == frozenset()
