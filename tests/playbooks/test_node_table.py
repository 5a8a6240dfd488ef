"""The table of control planes at the end of each playbook: what is equal, what differs, what is not known."""

from __future__ import annotations

import sys
from typing import Any

from controlplanes import COLLECTIONS

sys.path.insert(0, str(COLLECTIONS))

from ansible_collections.auditctl.kubeadm.plugins.plugin_utils.nodes import node_row, table


def proof(maxage: str = "30", digest: str = "a" * 64, *, holds: bool = True, lost: int = 0) -> dict[str, Any]:
    """What apiserver_audit_info returns, as far as the table reads it."""
    return {
        "holds": holds,
        "msg": "m",
        "receipt": {"file": "/v/audit.log", "line": 7} if holds else None,
        "status": {
            "settings": {"flags": {"audit-log-maxage": maxage}},
            "status": {
                "apiServer": {"ready": True},
                "auditing": {"state": "recording"},
                "policy": {"loadedSha256": digest},
                "metrics": {"eventTotal": 12, "errorTotal": {"log": lost}},
                "kubeadmConfig": {"kept": None},
                "lastChange": {"id": "20261201-1", "outageSeconds": 5.4},
            },
        },
        "verification": {"settings": {"flags": {"audit-log-maxage": maxage}}, "timings": {"total": 1.0}},
    }


def lines(**nodes: dict[str, Any]) -> dict[str, list[str]]:
    found = table([node_row(name, variables) for name, variables in nodes.items()])
    return {line.split()[0]: line.split() for line in found}


def test_what_differs_from_the_most_is_said() -> None:
    """A flag, a policy, a node without proof; KEPT is not known. The outage is that of the node's last change."""
    rows = lines(
        a={"apiserver_audit_seen": proof()},
        b={"apiserver_audit_seen": proof("7", holds=False, lost=3)},
        c={"apiserver_audit_seen": proof(digest="b" * 64)},
        d={"apiserver_audit_seen": proof()},
    )

    assert rows["NODE"] == [
        "NODE",
        "READY",
        "RECORDING",
        "FLAGS",
        "POLICY",
        "EVENTS",
        "LOST",
        "KEPT",
        "OUTAGE",
        "RECEIPT",
    ]
    assert rows["a"] == ["a", "yes", "yes", "equal", "aaaaaaaaaaaa", "12", "0", "?", "5.4", "s", "/v/audit.log:7"]
    assert rows["b"] == ["b", "yes", "NO", "DIFFER", "aaaaaaaaaaaa", "12", "3", "?", "5.4", "s", "-"]
    assert rows["c"][4:6] == ["bbbbbbbbbbbb", "DIFFERS"]


def test_of_two_that_differ_both_are_marked_and_nothing_is_made_up_of_a_node_that_did_not_answer() -> None:
    """Which of them is right is not known."""
    rows = lines(a={"apiserver_audit_seen": proof()}, b={"apiserver_audit_seen": proof("7")}, c={})

    assert [rows[name][3] for name in "abc"] == ["DIFFER", "DIFFER", "?"]
    assert rows["c"] == ["c", "?", "?", "?", "?", "?", "?", "?", "-", "-"]


def test_a_change_brings_its_outage_and_its_receipt() -> None:
    """As the module returns them; a run without a restart has no outage."""
    report = {
        "settings": {"flags": {"audit-log-maxage": "30"}, "policy": {"sha256": "c" * 64}},
        "timings": {"outage": 5.44, "total": 21.0},
        "receipt": {"file": "/v/audit.log", "line": 1},
        "verification": {"holds": True},
    }
    row = node_row(
        "a", {"apiserver_audit_result": {"report": report, "outcome": "Changed", "changed": True, "msg": "on"}}
    )

    assert (row["outageSeconds"], row["outcome"], row["recording"]) == (5.44, "Changed", "yes")
    assert table([row])[1].split()[-3:] == ["5.4", "s", "/v/audit.log:1"]
    report = {**report, "timings": {"outage": None, "total": 1.0}}  # the ConfigMap was written afterwards
    last = {"apiserver_audit_result": {"report": report}, "apiserver_audit_outage": "9.4"}
    assert node_row("a", last)["outageSeconds"] == 9.4
    assert node_row("a", {**last, "apiserver_audit_outage": ""})["outageSeconds"] is None
    off = {"apiserver_audit_result": {"report": {"settings": {"flags": {}}, "verification": {"holds": None}}}}
    assert node_row("a", off)["recording"] == "off"
