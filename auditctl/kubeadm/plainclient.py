"""What `configmap` asks of the Kubernetes client, with the standard library alone: for nodes where the package is not.

Three calls, named and shaped as the client's own, so that nobody need know which of the two answers.
"""

from __future__ import annotations

import json
import ssl
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlsplit

from auditctl.transport import ExchangeDeadline, connect, exchange, secured

_PATCH = "application/json-patch+json"
_LIMIT_BYTES = 64 << 20  # a list of all Pods of kube-system is several megabytes in a large cluster


class AnswerError(Exception):
    """An answer that is not a success: ``status`` and ``reason`` of HTTP."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status, self.reason = status, reason


class PlainClient:
    """One API server (``https://host:port``), verified against PEM text under ``server_name``; nothing is retried."""

    def __init__(
        self, server: str, authority: str, server_name: str, pair: tuple[str, str] | None = None, token: str = ""
    ) -> None:
        self._server, self._name, self._token = urlsplit(server), server_name, token
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.load_verify_locations(
            cadata=authority.encode("ascii", "ignore").decode()
        )  # notes between the certificates are anybody's
        if pair is not None:
            self._context.load_cert_chain(*pair)

    def read_namespaced_config_map(self, name: str, namespace: str, *, _request_timeout: tuple[float, float]) -> Any:
        """Return ``data`` and ``metadata.resource_version``; raise AnswerError or OSError."""
        answer = self._exchange("GET", f"/api/v1/namespaces/{namespace}/configmaps/{name}", _request_timeout)
        metadata = SimpleNamespace(resource_version=answer["metadata"]["resourceVersion"])
        return SimpleNamespace(data=answer.get("data"), metadata=metadata)

    def patch_namespaced_config_map(
        self, name: str, namespace: str, body: list[dict[str, Any]], *, _request_timeout: tuple[float, float]
    ) -> None:
        """Apply RFC 6902 operations; raises as `read_namespaced_config_map`."""
        self._exchange("PATCH", f"/api/v1/namespaces/{namespace}/configmaps/{name}", _request_timeout, body)

    def list_namespaced_pod(self, namespace: str, *, label_selector: str, _request_timeout: tuple[float, float]) -> Any:
        """Return ``items``, each with what tells a kube-apiserver's node and flags; raise AnswerError or OSError."""
        path = f"/api/v1/namespaces/{namespace}/pods?labelSelector={quote(label_selector)}"
        return SimpleNamespace(items=[_pod(one) for one in self._exchange("GET", path, _request_timeout)["items"]])

    def _exchange(self, method: str, path: str, timeout: tuple[float, float], body: Any = None) -> dict[str, Any]:
        address = (self._server.hostname or "", self._server.port or 443)
        headers = {"Accept": "application/json", "Connection": "close"}
        headers |= {"Authorization": f"Bearer {self._token}"} if self._token else {}
        headers |= {"Content-Type": _PATCH} if body is not None else {}
        deadline = ExchangeDeadline.within(sum(timeout))
        content = None if body is None else json.dumps(body).encode()
        with (
            connect(*address, deadline) as plain,
            secured(plain, self._context, self._name, deadline) as stream,
        ):
            answer = exchange(
                stream,
                (method, path),
                headers,
                deadline,
                host=self._server.netloc,
                body=content,
                limit_bytes=_LIMIT_BYTES,
            )
        if answer.status // 100 != 2:
            raise AnswerError(answer.status, answer.reason)
        try:
            read: dict[str, Any] = json.loads(answer.body)
        except ValueError as error:
            raise AnswerError(answer.status, "but no JSON") from error
        return read


def _pod(row: dict[str, Any]) -> SimpleNamespace:
    spec = row.get("spec") or {}
    containers = [
        SimpleNamespace(command=one.get("command"), args=one.get("args")) for one in spec.get("containers") or ()
    ]
    named = SimpleNamespace(name=row["metadata"]["name"])
    return SimpleNamespace(metadata=named, spec=SimpleNamespace(node_name=spec.get("nodeName"), containers=containers))
