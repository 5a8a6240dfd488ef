"""What a redirect leads to a standby server: the port, the Service of each IP version, and no loopback of a server."""

from __future__ import annotations

from pathlib import Path

from auditctl.node.standby.redirect_target import RedirectTarget, own_loopback


def test_a_service_leads_to_an_address_of_its_own_ip_version() -> None:
    mixed = RedirectTarget(6443, 6444, service="10.96.0.1", address="192.0.2.7")

    assert mixed.cluster_ip_in(4) == ("10.96.0.1", "192.0.2.7:6444")
    assert mixed.cluster_ip_in(6) == ("", "")
    assert RedirectTarget(6443, 6444).cluster_ip_in(4) == ("", "")


def test_the_server_asks_itself_at_one_loopback_address_only() -> None:
    """The other family's is one that nobody uses, so that no rule keeps a client's connection back."""
    has_ipv6 = f"{1:032x}" in Path("/proc/net/if_inet6").read_text() if Path("/proc/net/if_inet6").exists() else False

    assert own_loopback(6) == "::1"
    assert own_loopback(4) == ("127.255.255.254" if has_ipv6 else "127.0.0.1")
