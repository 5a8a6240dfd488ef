"""Packet filters that let in the API server's port and drop a standby's; rules as iptables-save and nft print them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from auditctl.node.standby.packet_filter import drops_by_iptables, drops_by_nft

KUBE = "-A INPUT -j KUBE-FIREWALL\n-A KUBE-FIREWALL ! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP\n"
SSH = "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n"
API = "-A INPUT -p tcp -m multiport --dports 2379:2380,6443 -j ACCEPT\n"


def saved(policy: str, rules: str, chains: str = "") -> str:
    return (
        f"*nat\n:INPUT DROP [0:0]\nCOMMIT\n*filter\n:INPUT {policy} [0:0]\n:OUTPUT DROP [0:0]\n{chains}{rules}COMMIT\n"
    )


@pytest.mark.parametrize(
    ("rules", "drops"),
    [
        (saved("ACCEPT", KUBE), False),
        (saved("DROP", KUBE + SSH + API), True),
        (saved("DROP", SSH + "-A INPUT -p tcp -m tcp --dport 6443:6500 -j ACCEPT\n"), False),
        (saved("DROP", SSH + "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT\n"), False),
        (saved("DROP", "-A INPUT -m conntrack ! --ctstate DNAT -j ACCEPT\n"), True),
        (saved("DROP", "-A OUTPUT -p tcp -m tcp --dport 6444 -j ACCEPT\n"), True),
        (saved("ACCEPT", API + "-A INPUT -j REJECT --reject-with icmp-port-unreachable\n"), True),
        (saved("ACCEPT", "-A INPUT -s 192.0.2.1/32 -j DROP\n"), False),
        (saved("ACCEPT", API, ":cali-fh-eth0 - [0:0]\n"), True),
    ],
    ids=["kubelet's own", "by default", "a range", "translated", "not translated", "going out", "at the end", "one sender",
         "Calico's host endpoint"],
)  # fmt: skip
def test_rules_of_iptables(rules: str, drops: bool) -> None:
    assert drops_by_iptables(rules, 6444) is drops


def chain(policy: str, *rules: list[dict[str, Any]], table: str = "mine") -> list[dict[str, Any]]:
    named = {"family": "inet", "table": table}
    base = {**named, "name": "input", "type": "filter", "hook": "input", "prio": 0, "policy": policy}
    return [{"metainfo": {}}, {"chain": base}, *({"rule": {**named, "chain": "input", "expr": rule}} for rule in rules)]


def match(left: dict[str, Any], right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


DPORT = {"payload": {"protocol": "tcp", "field": "dport"}}
STATUS = {"ct": {"key": "status"}}
ACCEPT: dict[str, Any] = {"accept": None}


@pytest.mark.parametrize(
    ("ruleset", "drops"),
    [
        (chain("accept", [{"counter": {}}, {"drop": None}]), True),
        (chain("accept", [match(DPORT, 6444), {"drop": None}]), False),
        (chain("drop", [match(DPORT, {"set": [22, {"range": [6440, 6443]}]}), ACCEPT]), True),
        (chain("drop", [match(DPORT, {"set": [22, {"range": [6440, 6450]}]}), ACCEPT]), False),
        (chain("drop", [match(DPORT, 6444, "!="), ACCEPT]), True),
        (chain("drop", [match(STATUS, "dnat", "in"), ACCEPT]), False),
    ],
    ids=["at the end", "a rule of its own", "by default", "a range", "every other port", "translated, as firewalld"],
)
def test_chains_of_nft(ruleset: list[dict[str, Any]], drops: bool) -> None:
    assert list(drops_by_nft(json.loads(json.dumps(ruleset)), 6444)) == ["table inet mine, chain input"] * drops


def test_a_chain_of_iptables_is_not_read_twice() -> None:
    """Its matches are not shown by nft."""
    ruleset = chain("drop", table="filter")
    for item in ruleset[1:]:
        item["chain"]["family"] = "ip"

    assert not list(drops_by_nft(ruleset, 6444))
