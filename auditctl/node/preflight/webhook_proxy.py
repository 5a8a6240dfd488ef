"""Find the proxy that the API server would take to reach an address, as Go reads the variables of its container.

The rules are those of `golang.org/x/net/http/httpproxy`: NO_PROXY holds names (with their subdomains), names with a dot
before them (the subdomains alone), addresses, CIDR blocks, each perhaps with a port, or ``*`` for everything.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

_PORTS = {"http": 80, "https": 443}


def proxy_for(scheme: str, host: str, port: int, environment: Mapping[str, str]) -> str:
    """Return the URL of the proxy for a request to that place; "" where it goes there directly."""
    proxy = _variable(environment, f"{scheme}_proxy")
    if not proxy or host == "localhost" or _is_loopback(host):
        return ""
    entries = (entry.strip().lower() for entry in _variable(environment, "no_proxy").split(","))
    return "" if any(_covers(entry, host.lower(), port or _PORTS[scheme]) for entry in entries if entry) else proxy


def _variable(environment: Mapping[str, str], name: str) -> str:
    """Return a variable in upper case, which comes first, or in lower case."""
    return environment.get(name.upper()) or environment.get(name) or ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _covers(entry: str, host: str, port: int) -> bool:
    """Return whether one entry of NO_PROXY covers the place."""
    if entry == "*":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            pass  # no CIDR block: Go goes on and takes it for a name
    name, entry_port = _split(entry)
    if entry_port and entry_port != str(port):
        return False
    try:
        return address == ipaddress.ip_address(name)
    except ValueError:
        pass
    name = name.removeprefix("*") if name.startswith("*.") else name
    if not name:
        return False
    return host.endswith(name) if name.startswith(".") else host == name or host.endswith(f".{name}")


def _split(entry: str) -> tuple[str, str]:
    """Return name and port of an entry; an IPv6 address has colons of its own, and brackets where a port follows."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":")
    if entry.count(":") == 1:
        name, _, port = entry.partition(":")
        return name, port
    return entry, ""
