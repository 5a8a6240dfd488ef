"""Tell whether a packet filter of this node would drop connections that are redirected to a standby's port.

A redirect changes the port before the filter sees the packet. A filter that lets in the API server's port and little else
then drops it, unless it lets in every translated connection, as firewalld does (``ct status dnat accept``). What drops
by a rule of its own for certain senders cannot be told; a filter that drops by default can.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from auditctl.node.programs import program

_RUN_SECONDS = 10.0
_PORTS = re.compile(r"--dports? (\S+)")
_TRANSLATED = re.compile(r"--ct(?:state|status) \S*DNAT")
_HOST_ENDPOINT = ":cali-fh-"  # Calico's chains of a host endpoint: its failsafe ports are open, others are not
_DROPS = ("drop", "reject")


def dropping(port: int) -> str:
    """Return which filter would drop new connections to ``port``, as a sentence; empty where none does by default."""
    names = [name for name, rules in _saved() if drops_by_iptables(rules, port)]
    names += list(drops_by_nft(_listed(), port))
    if not names:
        return ""
    return (
        f"the packet filter of this node ({names[0]}) drops connections to port {port} of a standby; let tcp {port} in"
    )


def drops_by_iptables(rules: str, port: int) -> bool:
    """Tell whether rules as iptables-save prints them drop a new connection to ``port`` that nothing else lets in."""
    lines = [line for line in rules.partition("*filter")[2].partition("COMMIT")[0].splitlines() if line]
    last = next((line for line in reversed(lines) if line.startswith("-A INPUT ")), "")
    by_default = any(line.startswith(":INPUT DROP") for line in lines) or last.startswith(
        ("-A INPUT -j DROP", "-A INPUT -j REJECT")
    )
    if not by_default and not any(line.startswith(_HOST_ENDPOINT) for line in lines):
        return False
    accepted = [line for line in lines if line.endswith("-j ACCEPT") and not line.startswith("-A OUTPUT ")]
    return not any(_lets_in(line, port) for line in accepted)


def _lets_in(line: str, port: int) -> bool:
    ports = _PORTS.search(line)
    if ports is None:
        return bool(_TRANSLATED.search(line) and "! --ct" not in line)
    return any(int(first) <= port <= int(last or first) for first, last in _ranges(ports[1]))


def _ranges(words: str) -> Iterator[tuple[str, str]]:
    for word in words.split(","):
        first, _, last = word.partition(":")
        if first.isdecimal() and (last.isdecimal() or not last):
            yield first, last


def drops_by_nft(ruleset: list[dict[str, Any]], port: int) -> Iterator[str]:
    """Yield each chain of an nft ruleset that drops a new connection to ``port`` by default, as its table and name.

    Chains that iptables has made are left out: `drops_by_iptables` reads those.
    """
    rules = [item["rule"] for item in ruleset if "rule" in item]
    for chain in (item["chain"] for item in ruleset if "chain" in item):
        family, table = chain["family"], chain["table"]
        if chain.get("hook") != "input" or chain.get("type") != "filter" or (table == "filter" and family != "inet"):
            continue
        mine = [rule["expr"] for rule in rules if (rule["family"], rule["table"]) == (family, table)]
        own = [rule["expr"] for rule in rules if (rule["table"], rule["chain"]) == (table, chain["name"])]
        if chain.get("policy") != "drop" and not (own and _is_plain_drop(own[-1])):
            continue
        if not any(_accepts(expressions, port) for expressions in mine):
            yield f"table {family} {table}, chain {chain['name']}"


def _is_plain_drop(expressions: list[dict[str, Any]]) -> bool:
    return (
        bool(expressions)
        and not any("match" in each for each in expressions)
        and any(verdict in each for each in expressions for verdict in _DROPS)
    )


def _accepts(expressions: list[dict[str, Any]], port: int) -> bool:
    """Tell whether a rule lets in every translated connection, or connections to this port."""
    if not any("accept" in each for each in expressions):
        return False
    for each in (expression["match"] for expression in expressions if "match" in expression):
        if each["op"] == "!=":
            continue
        left, right = json.dumps(each["left"]), each["right"]
        if '"status"' in left and "dnat" in json.dumps(right):
            return True
        if '"dport"' in left and any(first <= port <= last for first, last in _numbers(right)):
            return True
    return False


def _numbers(right: Any) -> Iterator[tuple[int, int]]:
    """Yield the ranges of ports that a match names."""
    if isinstance(right, int):
        yield right, right
    elif isinstance(right, dict) and "range" in right:
        first, last = right["range"]
        yield first, last
    elif isinstance(right, dict) and "set" in right:
        for each in right["set"]:
            yield from _numbers(each)


def _saved() -> Iterator[tuple[str, str]]:
    """Yield the rules of both families as they are saved; none where they cannot be read."""
    for name in ("iptables", "ip6tables"):
        ran = _printed(f"{name}-save", "-t", "filter")
        if ran:
            yield f"{name}, chain INPUT", ran


def _listed() -> list[dict[str, Any]]:
    """Return nft's ruleset; empty where it cannot be read."""
    with suppress(ValueError, KeyError):
        listed: list[dict[str, Any]] = json.loads(_printed("nft", "-j", "list", "ruleset"))["nftables"]
        return listed
    return []


def _printed(name: str, *words: str) -> str:
    path = program(name)
    if path is None:
        return ""
    with suppress(OSError, subprocess.SubprocessError):
        ran = subprocess.run([path, *words], capture_output=True, text=True, timeout=_RUN_SECONDS, check=False)
        return ran.stdout if ran.returncode == 0 else ""
    return ""
