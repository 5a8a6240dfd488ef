"""Redirect new connections from the API server's port to a standby server, for as long as somebody says so again.

On the host it is one nft table of ours in each family. What is redirected stands in sets whose elements have a timeout:
when everything of ours has died, the kernel takes the redirect out by itself. Connections that were translated live as
long as the chains do (deleting a nat chain cuts them), so the elements go first and the table last. Priority -110 comes
before kube-proxy's chains (-100), so that the ClusterIP of the `kubernetes` Service leads to the standby, too: while the
first server stops it takes itself out of that Service's endpoints. Packets with our mark pass: our own probes.
"""

from __future__ import annotations

import ipaddress
import json
import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.client import PAST_REDIRECT_MARK
from auditctl.node.change import files
from auditctl.node.change.files import Root
from auditctl.node.clock import Clock
from auditctl.node.programs import program
from auditctl.node.standby import iptables
from auditctl.node.standby.iptables import IptablesRedirect
from auditctl.node.standby.redirect_target import TIMEOUT_SECONDS, RedirectTarget, own_loopback

_TABLE = "auditctl_standby"
_RUN_SECONDS = 10.0
_FOLDER_FILE = "/run/auditctl/standby-redirect.json"
_DEFAULT_SERVICE_RANGE = "10.0.0.0/24"  # of kube-apiserver; kubeadm's own is written into the manifest


class Redirect(Protocol):
    """A redirect that somebody keeps up."""

    def missing(self) -> str:
        """Return why this host cannot redirect; empty where it can. Nothing is changed."""

    def keep(self) -> None:
        """Set it up, or let it live for another `TIMEOUT_SECONDS`. Raises OSError."""

    def connections(self) -> int | None:
        """Return how many connections have been redirected; None where that is not known."""


def redirect(root: Root, target: RedirectTarget, clock: Clock) -> Redirect:
    """Return the redirect of this node: the kernel's on the host, a file for a relay in a folder under ``--rootfs``.

    nft where it works, for its elements have a timeout that no clock shifts; else iptables.
    """
    if not root.is_host:
        return FolderRedirect(root, target, clock)
    by_nft, by_iptables = NftRedirect(target), IptablesRedirect(target, clock)
    return by_iptables if by_nft.missing() and not by_iptables.missing() else by_nft


def target_of(manifest: Manifest, standby_port: int) -> RedirectTarget:
    """Return what is to be redirected; the ClusterIP of the `kubernetes` Service is the first of the Services' range."""
    ranges = manifest.flag("service-cluster-ip-range") or _DEFAULT_SERVICE_RANGE
    service, address = "", manifest.flag("advertise-address") or ""
    with suppress(ValueError):
        first = ipaddress.ip_network(ranges.split(",")[0].strip(), strict=False)
        if first.version == ipaddress.ip_address(address).version:
            service = str(first[1])
    return RedirectTarget(manifest.secure_port, standby_port, service, address if service else "")


class NftRedirect(NamedTuple):
    """The redirect by nft."""

    target: RedirectTarget

    def missing(self) -> str:
        """Return why nft cannot do it, as the kernel says when it is asked to check the table."""
        try:
            ran = _nft(f"table ip {_TABLE}_check {_body(self.target, 4)}\n", check_only=True)
        except FileNotFoundError:
            return "nft is not installed (package nftables)"
        except (OSError, subprocess.SubprocessError) as error:
            return f"nft cannot be run: {error}"
        return "" if ran.returncode == 0 else f"nft cannot make the table: {_first_line(ran.stderr)}"

    def keep(self) -> None:
        """Set the tables up where they are not there, and put the elements in anew, in one transaction a family."""
        for family, version in (("ip", 4), ("ip6", 6)):
            ran = _nft(f"table {family} {_TABLE} {_body(self.target, version)}\n" if _listed(family) is None else "")
            if ran.returncode == 0:
                ran = _nft("\n".join(_refreshed(self.target, family, version)) + "\n")
            if ran.returncode != 0 and version == 4:
                raise OSError(f"nft: {_first_line(ran.stderr)}")

    def connections(self) -> int | None:
        """Return the sum of the counters: a nat chain sees the first packet of each connection alone."""
        counted = None
        with suppress(OSError, subprocess.SubprocessError):
            for family in ("ip", "ip6"):
                for packets in re.findall(r"counter packets (\d+)", _listed(family) or ""):
                    counted = (counted or 0) + int(packets)
        return counted


def tables_left() -> bool:
    """Tell whether a table or a chain of ours is there."""
    with suppress(OSError, subprocess.SubprocessError):
        if _listed("ip") is not None or _listed("ip6") is not None:
            return True
    return iptables.is_left()


def remove_tables() -> None:
    """Delete our tables and chains, if they are there."""
    iptables.remove()
    for family in ("ip", "ip6"):
        with suppress(OSError, subprocess.SubprocessError):
            _nft(f"delete table {family} {_TABLE}\n")


def _body(target: RedirectTarget, version: int) -> str:
    kind, family = ("ipv4_addr", "ip") if version == 4 else ("ipv6_addr", "ip6")
    rules = f"""
  meta mark {PAST_REDIRECT_MARK:#x} accept
  {family} daddr {own_loopback(version)} accept
  tcp dport @ports fib daddr type local counter dnat to :{target.standby_port}
"""
    _, there = target.cluster_ip_in(version)
    if there:
        rules += f"  {family} daddr @services tcp dport 443 counter dnat to {there}\n"
    return f"""{{
 set ports {{ type inet_service; flags timeout; }}
 set services {{ type {kind}; flags timeout; }}
 chain output {{ type nat hook output priority -110;{rules} }}
 chain prerouting {{ type nat hook prerouting priority -110;{rules} }}
}}"""


def _refreshed(target: RedirectTarget, family: str, version: int) -> Sequence[str]:
    lines = [f"flush set {family} {_TABLE} ports", f"flush set {family} {_TABLE} services"]
    lines.append(f"add element {family} {_TABLE} ports {{ {target.port} timeout {TIMEOUT_SECONDS}s }}")
    service, _ = target.cluster_ip_in(version)
    if service:
        lines.append(f"add element {family} {_TABLE} services {{ {service} timeout {TIMEOUT_SECONDS}s }}")
    return lines


def _listed(family: str) -> str | None:
    words = [_program(), "list", "table", family, _TABLE]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False)
    return ran.stdout if ran.returncode == 0 else None


def _nft(script: str, *, check_only: bool = False) -> subprocess.CompletedProcess[str]:
    words = [_program(), *(["-c"] if check_only else []), "-f", "-"]
    return subprocess.run(words, input=script, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False)


def _program() -> str:
    """Return the path of nft. Raises FileNotFoundError."""
    path = program("nft")
    if path is None:
        raise FileNotFoundError("nft")
    return path


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")


class FolderRedirect(NamedTuple):
    """The redirect of a folder under ``--rootfs``: a file that names the port and until when, for a relay that reads it."""

    root: Root
    target: RedirectTarget
    clock: Clock

    @property
    def path(self) -> Path:
        """Where the relay looks."""
        return self.root.host(_FOLDER_FILE)

    def missing(self) -> str:
        """Return nothing: a file can always be written."""
        return ""

    def keep(self) -> None:
        """Write the file."""
        files.make_directories(self.path.parent, 0o755)
        until = self.clock.boot() + TIMEOUT_SECONDS
        files.replace_file(self.path, json.dumps({"port": self.target.standby_port, "until": until}).encode(), None)

    def connections(self) -> None:
        """Return nothing: the relay counts for itself."""


def stop_redirect(root: Root) -> None:
    """Redirect no new connection any more; those that are there go on. Raises nothing."""
    if not root.is_host:
        remove_redirect(root)
        return
    iptables.stop()
    for family in ("ip", "ip6"):
        with suppress(OSError, subprocess.SubprocessError):
            _nft(f"flush set {family} {_TABLE} ports\nflush set {family} {_TABLE} services\n")


def remove_redirect(root: Root) -> None:
    """Remove a redirect of this node, whoever has set it up; raises nothing."""
    if root.is_host:
        remove_tables()
        return
    with suppress(OSError):
        files.remove(root.host(_FOLDER_FILE))
