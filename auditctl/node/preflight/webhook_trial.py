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
from urllib.parse import SplitResult, unquote, urlsplit

from auditctl.node.apiserver.credentials import in_memory
from auditctl.node.apiserver.kubeconfig_rules import without_secrets
from auditctl.node.preflight.webhook_config import WebhookConfig, proxy_for
from auditctl.transport import ByteStream, ExchangeDeadline, HttpAnswer, TimedStream, connect, exchange, secured

_SECONDS = 10.0  # for all of it: connect, shake hands, answer
_LONGEST_HEAD = 1 << 16
_MOST_OF_BODY = 1 << 10
_OTHER_PROXIES = frozenset({"https", "socks5", "socks5h"})  # client-go speaks TLS or SOCKS to them
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
    uses_cluster_dns: bool = False
    """`dnsPolicy: ClusterFirstWithHostNet`: the container asks the cluster's DNS, which knows Services; this host does not."""


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
    proxy = config.proxy or proxy_for(parts.scheme, host, port, surroundings.environment)
    if proxy.partition("://")[0] in _OTHER_PROXIES and "://" in proxy:
        where = without_secrets(proxy)
        return Tried(WebhookTrialVerdict.UNKNOWN, f"the way goes through {where}, a proxy that is not tried from here")
    began = time.monotonic()
    try:
        answer = _posted(config, parts, port, proxy, surroundings)
    except (OSError, ValueError) as error:
        return _failed(error, host, port, surroundings)
    seconds = time.monotonic() - began
    status = answer.status
    if status in _SUCCESS:
        return Tried(WebhookTrialVerdict.REACHED, f"{status} in {seconds * 1000:.0f} ms", seconds)
    words = f"it answers an empty list of events with {status} {answer.reason}"
    return Tried(WebhookTrialVerdict.FAILED, words, seconds)


def _failed(error: Exception, host: str, port: int, surroundings: ContainerEnvironment) -> Tried:
    """Return the verdict on a POST that had no answer."""
    match error:
        case socket.gaierror() if surroundings.uses_cluster_dns and is_cluster_internal(host):
            words = f"{host} is the name of a Service, which the Pod resolves (dnsPolicy) and this host does not"
            return Tried(WebhookTrialVerdict.UNKNOWN, words)
        case socket.gaierror():
            words = _unresolved(host)
        case ssl.SSLCertVerificationError():
            words = f"its certificate is not accepted: {error.verify_message}"
        case OSError():
            words = f"no answer from {host}:{port}: {_reason(error)}"
        case _:  # the text of a ValueError would quote a header, and with it a token
            words = "the request cannot be written as HTTP (a line break in a credential?)"
    return Tried(WebhookTrialVerdict.FAILED, words)


def _posted(
    config: WebhookConfig, parts: SplitResult, port: int, proxy: str, surroundings: ContainerEnvironment
) -> HttpAnswer:
    """Return the answer to an empty list of events. Raises OSError and ValueError."""
    deadline = ExchangeDeadline.within(_SECONDS)
    way = urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else None
    host = parts.netloc.rpartition("@")[2]
    headers = {**_headers(config, parts.scheme), "Host": host, "Connection": "close"}
    target = f"{parts.path or '/'}?timeout=30s"
    if way is not None and parts.scheme == "http":
        target = f"http://{host}{target}"  # a proxy wants the whole URL
        headers |= _proxy_headers(way)
    with _connected(config, (parts.scheme, parts.hostname or "", port), way, surroundings, deadline) as stream:
        return exchange(
            stream, ("POST", target), headers, deadline, host=host, body=_EMPTY_LIST, limit_bytes=_MOST_OF_BODY
        )


@contextmanager
def _connected(
    config: WebhookConfig,
    receiver: tuple[str, str, int],
    way: SplitResult | None,
    surroundings: ContainerEnvironment,
    deadline: ExchangeDeadline,
) -> Iterator[ByteStream]:
    """Connect to the receiver (scheme, host, port): resolved as the Pod resolves, through a proxy where one is set."""
    scheme = receiver[0]
    host, port = (way.hostname or "", way.port or _PORTS["http"]) if way else (receiver[1], receiver[2])
    with connect(surroundings.aliases.get(host, host), port, deadline) as plain:
        if scheme != "https":
            yield plain
            return
        if way is not None:
            _open_tunnel(plain, f"{receiver[1]}:{receiver[2]}", _proxy_headers(way), deadline)
        name = config.server_name or receiver[1]
        with secured(plain, _tls_context(config), name, deadline) as stream:
            yield stream


def _open_tunnel(plain: socket.socket, target: str, headers: Mapping[str, str], deadline: ExchangeDeadline) -> None:
    """Have the proxy connect ``plain`` to ``target``. Raises OSError where it does not."""
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", *(f"{name}: {text}" for name, text in headers.items())]
    if not all(line.isprintable() for line in lines):
        raise ValueError("a line break in a header")
    stream = TimedStream(plain, deadline)
    stream.sendall("\r\n".join((*lines, "", "")).encode())
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _LONGEST_HEAD:
        octet = stream.read(1)  # not a byte of what comes behind
        if not octet:
            break
        answer += octet
    words = answer.split(b"\r\n", 1)[0].decode(errors="replace").split(" ", 2)
    if len(words) < 2 or words[1] != "200":
        said = " ".join(words[1:]) or "nothing"
        raise OSError(f"the proxy says {said if said.isprintable() else 'what cannot be printed'}")


def _proxy_headers(way: SplitResult) -> dict[str, str]:
    """Return the credentials that the proxy's own URL holds, as Go sends them to it."""
    if way.username is None:
        return {}
    pair = f"{unquote(way.username)}:{unquote(way.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _tls_context(config: WebhookConfig) -> ssl.SSLContext:
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
    return context


def _headers(config: WebhookConfig, scheme: str) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept": "application/json, */*"}
    if scheme != "https":
        return headers  # credentials are used only over TLS (client-go transport)
    if config.token:
        headers["Authorization"] = f"Bearer {config.token}"
    elif config.user:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{config.user}:{config.password}".encode()).decode()
    return headers


def is_cluster_internal(host: str) -> bool:
    """Tell whether a host (or the address of one) is a Service's name inside the cluster."""
    name = (urlsplit(host).hostname or "") if "://" in host else host
    return name.endswith((".svc", ".cluster.local")) or (name.count(".") == 1 and name.endswith(".default"))


def _unresolved(host: str) -> str:
    if is_cluster_internal(host):
        return (
            f"{host} is the name of a Service, and the API server runs in the host's network, whose resolver does not know it: "
            "use the Service's cluster IP, a name that the node itself resolves, or dnsPolicy: ClusterFirstWithHostNet in the manifest"
        )
    return f"the node cannot resolve {host}"


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", "") or error or type(error).__name__).lower()
