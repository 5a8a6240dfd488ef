"""Try a webhook receiver from this host's own network, as the API server will reach it. Nothing is run, one POST is sent."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import NamedTuple
from urllib.parse import urlsplit

from auditctl.node.apiserver.credentials import in_memory
from auditctl.node.apiserver.kubeconfig_rules import without_secrets
from auditctl.node.preflight.webhook_config import WebhookConfig

_SECONDS = 10.0  # for each of: connect, shake hands, answer
_LONGEST_LINE = 1 << 16
_EMPTY_LIST = json.dumps({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": []}).encode()
_SUCCESS = range(200, 207)  # client-go rest/request.go transformResponse
_PORTS = {"http": 80, "https": 443}


class WebhookTrialVerdict(Enum):
    """What the trial came to."""

    REACHED = "reached"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Tried(NamedTuple):
    """``words`` is one sentence without a full stop; ``seconds`` is what the POST took."""

    verdict: WebhookTrialVerdict
    words: str
    seconds: float = 0.0


class ContainerEnvironment(NamedTuple):
    """What the Pod adds to the host's own: variables (``HTTPS_PROXY``), and names from ``hostAliases``."""

    environment: Mapping[str, str] = {}
    aliases: Mapping[str, str] = {}


def attempt(config: WebhookConfig, surroundings: ContainerEnvironment) -> Tried:
    """Resolve, connect, shake hands, POST an empty list of events. Never raises."""
    if config.runs:
        return Tried(
            WebhookTrialVerdict.UNKNOWN, f"its credentials come from the program {config.runs}, which is not run here"
        )
    parts = urlsplit(config.server if "://" in config.server else f"http://{config.server}")
    host = parts.hostname or ""
    try:
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        port = 0
    if not port or parts.scheme not in _PORTS:
        return Tried(
            WebhookTrialVerdict.FAILED, f"{without_secrets(config.server)} is neither http nor https, or names no port"
        )
    proxy = config.proxy or _proxy(parts.scheme, host, surroundings.environment)
    began = time.monotonic()
    try:
        with _connected(config, parts.scheme, (host, port), proxy, surroundings) as stream:
            # a proxy wants the whole URL
            through = f"http://{parts.netloc}" if proxy and parts.scheme == "http" else ""
            head = f"POST {through}{parts.path or '/'}?timeout=30s HTTP/1.1"
            _send(stream, head, {"Host": parts.netloc.rpartition("@")[2], **_headers(config, parts.scheme)})
            status, reason = _status(stream, began + _SECONDS)
    except socket.gaierror:
        return Tried(WebhookTrialVerdict.FAILED, _unresolved(host))
    except ssl.SSLCertVerificationError as error:
        return Tried(WebhookTrialVerdict.FAILED, f"its certificate is not accepted: {error.verify_message}")
    except OSError as error:
        return Tried(WebhookTrialVerdict.FAILED, f"no answer from {host}:{port}: {_reason(error)}")
    except ValueError:  # its text would quote a header, and with it a token
        return Tried(
            WebhookTrialVerdict.FAILED, "the request cannot be written as HTTP (a line break in a credential?)"
        )
    seconds = time.monotonic() - began
    if status in _SUCCESS:
        return Tried(WebhookTrialVerdict.REACHED, f"{status} in {seconds * 1000:.0f} ms", seconds)
    return Tried(WebhookTrialVerdict.FAILED, f"it answers an empty list of events with {status} {reason}", seconds)


@contextmanager
def _connected(
    config: WebhookConfig, scheme: str, target: tuple[str, int], proxy: str, surroundings: ContainerEnvironment
) -> Iterator[socket.socket]:
    """A stream to the receiver: resolved as the Pod resolves, through a proxy where one is set, secured for https."""
    way = urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else None
    first = (way.hostname or "", way.port or _PORTS.get(way.scheme, 80)) if way else target
    address = surroundings.aliases.get(first[0], first[0])
    with socket.create_connection((address, first[1]), _SECONDS) as plain:
        if way is not None and scheme == "https":
            _tunnel(plain, *target)
        if scheme != "https":
            yield plain
            return
        with _secured(plain, config, target[0]) as secured:
            yield secured


def _send(stream: socket.socket, head: str, headers: Mapping[str, str]) -> None:
    """Write the request. Raises ValueError for a header that would break its line."""
    headers = {**headers, "Content-Length": str(len(_EMPTY_LIST)), "Connection": "close"}
    if not all(value.isprintable() for value in (head, *headers.values())):
        raise ValueError("a line break in a header")
    lines = [head, *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    stream.sendall("\r\n".join(lines).encode() + _EMPTY_LIST)


def _status(stream: socket.socket, deadline: float) -> tuple[int, str]:
    """The status line, which is all that counts; one that comes drop by drop does not outlast the deadline."""
    answer = b""
    while b"\n" not in answer and len(answer) < _LONGEST_LINE:
        stream.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            chunk = stream.recv(4096)
        except TimeoutError:
            raise TimeoutError(f"no whole answer within {_SECONDS:.0f} s") from None
        if not chunk:
            break
        answer += chunk
    words = answer.split(b"\n", 1)[0].decode(errors="replace").strip().split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdecimal():
        raise OSError("what answers does not speak HTTP")
    reason = words[2] if len(words) > 2 else ""
    return int(words[1]), reason if reason.isprintable() else ""


def _tunnel(plain: socket.socket, host: str, port: int) -> None:
    plain.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    deadline = time.monotonic() + _SECONDS
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _LONGEST_LINE:
        plain.settimeout(max(deadline - time.monotonic(), 0.001))
        chunk = plain.recv(1)  # not a byte of what comes behind
        if not chunk:
            break
        answer += chunk
    plain.settimeout(_SECONDS)
    words = answer.split(b"\r\n", 1)[0].decode(errors="replace").split(" ", 2)
    if len(words) < 2 or words[1] != "200":
        raise OSError(f"the proxy says {' '.join(words[1:]) or 'nothing'}")


def _secured(plain: socket.socket, config: WebhookConfig, host: str) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    if config.authority:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=config.authority.decode(errors="replace"))
    if config.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.certificate:
        with in_memory(config.certificate) as certificate, in_memory(config.key) as key:
            context.load_cert_chain(certificate, key)
    return context.wrap_socket(plain, server_hostname=config.server_name or host)


def _headers(config: WebhookConfig, scheme: str) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept": "application/json, */*"}
    if scheme != "https":
        return headers  # credentials are used only over TLS (client-go transport)
    if config.token:
        headers["Authorization"] = f"Bearer {config.token}"
    elif config.user:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{config.user}:{config.password}".encode()).decode()
    return headers


def _proxy(scheme: str, host: str, environment: Mapping[str, str]) -> str:
    """The proxy that Go would take from the container's variables (``net/http`` ProxyFromEnvironment)."""
    found = {name.lower(): value for name, value in environment.items()}
    proxy = found.get(f"{scheme}_proxy", "")
    if not proxy or host == "localhost" or host.startswith("127.") or host == "::1":
        return ""
    for pattern in (word.strip().lower() for word in found.get("no_proxy", "").split(",")):
        name = pattern.partition(":")[0].removeprefix("*").lstrip(".")
        if pattern == "*" or (name and (host == name or host.endswith("." + name))):
            return ""
    return proxy


def is_cluster_internal(host: str) -> bool:
    """Tell whether a host (or the address of one) is a Service's name inside the cluster."""
    name = (urlsplit(host).hostname or "") if "://" in host else host
    return name.endswith((".svc", ".cluster.local")) or (name.count(".") == 1 and name.endswith(".default"))


def _unresolved(host: str) -> str:
    if is_cluster_internal(host):
        return (
            f"{host} is the name of a Service, and the API server runs in the host's network, whose resolver does not know it: "
            "use the Service's cluster IP, or a name that the node itself resolves"
        )
    return f"the node cannot resolve {host}"


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", "") or error or type(error).__name__).lower()
