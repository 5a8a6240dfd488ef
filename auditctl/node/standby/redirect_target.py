"""Say what a redirect leads to a standby server, and what it must leave alone."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

TIMEOUT_SECONDS = 10
_NOBODYS = "127.255.255.254"


class RedirectTarget(NamedTuple):
    """What is redirected, and to which port. ``service`` is the ClusterIP of the `kubernetes` Service, empty if none.

    ``address`` is this node's, to which connections to the Service lead; others keep their own address. (A
    redirect would lead them to 127.0.0.1, and the kubelet's rules drop what was translated to there from elsewhere:
    pkg/kubelet/kubelet_network_linux.go, KUBE-FIREWALL.)
    """

    port: int
    standby_port: int
    service: str = ""
    address: str = ""

    def cluster_ip_in(self, version: int) -> tuple[str, str]:
        """Return the Service's address and where it leads, both empty where it has none of this IP version."""
        if not self.address or ipaddress.ip_address(self.address).version != version:
            return "", ""
        there = f"[{self.address}]" if version == 6 else self.address
        return self.service, f"{there}:{self.standby_port}"


def own_loopback(version: int) -> str:
    """Return the loopback address at which a server asks itself, which no redirect may lead to another server.

    It listens on all addresses, so it takes ::1, and 127.0.0.1 where there is no IPv6
    (staging/src/k8s.io/apiserver/pkg/server/config.go, getLoopbackAddress). Where this family is not the one, an address
    that nobody uses is returned.
    """
    with suppress(OSError):
        if any(line.split()[0] == f"{1:032x}" for line in Path("/proc/net/if_inet6").read_text().splitlines()):
            return "::1" if version == 6 else _NOBODYS
    return "127.0.0.1" if version == 4 else "::1"
