"""The kubeconfig of the webhook backend, read as the API server reads it, and refused in its words.

Sources: ``k8s.io/apiserver`` ``pkg/util/webhook`` LoadKubeconfig; ``client-go`` ``tools/clientcmd`` ConfirmUsable,
``validation.go``. Nothing secret of it is ever printed.
"""

from __future__ import annotations

import ipaddress
import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from auditctl.errors import RefusedError
from auditctl.node.apiserver.kubeconfig_rules import (
    NO_CLUSTER,
    KubeconfigFault,
    cluster_problems,
    content_of,
    read_kubeconfig,
    user_problems,
    without_secrets,
)

_EMPTY = "no configuration has been provided, try setting KUBERNETES_MASTER environment variable"
# the fields that name a file, and those that hold its content instead (client-go: the content wins)
FILES = {
    "certificate-authority": "certificate-authority-data",
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
    "tokenFile": "token",
}


class WebhookConfigError(RefusedError):
    """The API server would not start with this kubeconfig."""


class FileReference(NamedTuple):
    """A file that the kubeconfig names: the field, and the path in the container (absolute)."""

    field: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookConfig:
    """What the API server takes from it. Texts of files are read through ``references`` by the caller.

    ``authority``, ``certificate`` and ``key`` are PEM; ``runs`` is the command of an ``exec:`` plugin, which is never run
    here.
    """

    server: str
    server_name: str = ""
    insecure: bool = False
    proxy: str = ""
    authority: bytes = b""
    certificate: bytes = b""
    key: bytes = b""
    token: str = ""
    user: str = ""
    password: str = ""
    runs: str = ""
    references: tuple[FileReference, ...] = ()

    def __repr__(self) -> str:
        """Return a text without anything secret."""
        return f"WebhookConfig({self.server!r})"


def parse(raw: bytes, container_path: str) -> WebhookConfig:
    """Read the text of a kubeconfig that the container sees at ``container_path``.

    Raises:
        WebhookConfigError: the server would refuse it; the message is the server's own.
    """
    try:
        config = read_kubeconfig(raw)
    except KubeconfigFault as fault:
        raise _refused(f'error loading config file "{container_path}": {fault}') from fault
    clusters, users, contexts = (_by_name(config, key) for key in ("clusters", "users", "contexts"))
    name = str(config.get("current-context") or "")
    context = _part(contexts.get(name), "context")
    cluster_name, user_name = str(context.get("cluster") or ""), str(context.get("user") or "")
    user = _part(users.get(user_name), "user")
    cluster = _part(clusters[cluster_name], "cluster") if cluster_name in clusters else None
    problems = [] if name in contexts else [f"context was not found for specified context: {name}"]
    problems += user_problems(user_name, user)
    problems += cluster_problems(cluster_name, cluster)
    if not name or problems == [NO_CLUSTER]:
        problems = [_EMPTY]
    if problems or cluster is None:
        listed = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        raise _refused(f"invalid configuration: {listed}", _fix(name, context, cluster_name, clusters))
    return _config(cluster, user, posixpath.dirname(container_path))


def resolved(config: WebhookConfig, read: Callable[[FileReference], bytes]) -> WebhookConfig:
    """Return the configuration with the content of its files; ``read`` raises RefusedError for a missing one."""
    contents: dict[str, Any] = {}
    for reference in config.references:
        content = read(reference)
        match reference.field:
            case "certificate-authority":
                contents["authority"] = content
            case "client-certificate":
                contents["certificate"] = content
            case "client-key":
                contents["key"] = content
            case "tokenFile":
                contents["token"] = content.decode(errors="replace").strip()
    return replace(config, **contents)


def _config(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: str) -> WebhookConfig:
    server = str(cluster.get("server") or "")
    if not _is_address(server):
        raise _refused(f'host must be a URL or a host:port pair: "{without_secrets(server)}"')
    authority = content_of(cluster, "certificate-authority-data")
    insecure = cluster.get("insecure-skip-tls-verify") is True
    if insecure and (authority or cluster.get("certificate-authority")):
        raise _refused("specifying a root certificates file with the insecure flag is not allowed")
    if authority and b"-----BEGIN" not in authority:
        raise _refused("unable to load root certificates: unable to parse bytes as PEM block")
    runs = user.get("exec")
    return WebhookConfig(
        server=server,
        server_name=str(cluster.get("tls-server-name") or ""),
        insecure=insecure,
        proxy=str(cluster.get("proxy-url") or ""),
        authority=authority,
        certificate=content_of(user, "client-certificate-data"),
        key=content_of(user, "client-key-data"),
        token=str(user.get("token") or ""),
        user=str(user.get("username") or ""),
        password=str(user.get("password") or ""),
        runs=str(runs.get("command") or "") if isinstance(runs, dict) else "",
        references=tuple(_references(cluster, user, folder)),
    )


def _is_address(server: str) -> bool:
    try:
        port = urlsplit(server if "://" in server else f"http://{server}").port
    except ValueError:  # no number, or half an IPv6 address
        return False
    return server.isprintable() and " " not in server and port != 0


def _references(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: str) -> Iterator[FileReference]:
    for part in (cluster, user):
        for field, content in FILES.items():
            path = str(part.get(field) or "")
            if field == "client-key" and not part.get("client-certificate"):
                continue  # a key alone is passed over
            # a token file is read even beside a token: it is looked at again from time to time
            if path and (field == "tokenFile" or not part.get(content)):
                yield FileReference(field, posixpath.normpath(posixpath.join(folder, path)))


def _by_name(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    entries = config.get(key)
    return (
        {str(one.get("name") or ""): one for one in entries or () if isinstance(one, dict)}
        if isinstance(entries, list)
        else {}
    )


def _part(entry: Any, key: str) -> Mapping[str, Any]:
    part = entry.get(key) if isinstance(entry, dict) else None
    return part if isinstance(part, dict) else {}


def _fix(name: str, context: Mapping[str, Any], cluster_name: str, clusters: Mapping[str, Any]) -> str:
    """Return the edit, with the cause where the server's own words do not tell it; empty where they do."""
    if not name:
        return "it has no current-context: write `current-context: NAME`, with the name of a context of the file"
    if context and cluster_name not in clusters:
        known = ", ".join(clusters) or "none"
        return f"the context {name!r} names the cluster {cluster_name!r}, which is not in the file (there: {known}): correct that name"
    return ""


def _refused(words: str, fix: str = "") -> WebhookConfigError:
    return WebhookConfigError(
        f"the API server would not start: initializing audit webhook: {words}",
        check="webhook-config",
        fix=fix or "correct the kubeconfig, then run the command again",
    )


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
