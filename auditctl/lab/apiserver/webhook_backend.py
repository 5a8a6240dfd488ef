"""Events on their way to a webhook: one POST a batch, tried five times (apiserver/plugin/pkg/audit/webhook).

Sources: plugin/pkg/audit/webhook/webhook.go, pkg/util/webhook/webhook.go WithExponentialBackoff. Not played: client
certificates, basic authentication, proxies, the egress selector.
"""

from __future__ import annotations

import http.client
import json
import random
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from auditctl.lab.apiserver.audit_backends import BackendCounters, Fields
from auditctl.lab.apiserver.webhook_config import Destination

ATTEMPTS, GROWTH, JITTER = 5, 1.5, 0.2
TIMEOUT_SECONDS = 30


class _RejectedError(Exception):
    """One attempt failed; the text is client-go's."""


@dataclass(slots=True)
class WebhookBackend:
    """Blocking by itself; `backends.Batched` stands before it in batch mode, the default."""

    destination: Destination
    counters: BackendCounters
    initial_backoff_seconds: float
    strict: bool = False

    def process(self, events: Sequence[Fields]) -> bool:
        """Deliver, or drop them all and count them."""
        made = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": list(events)}
        body, pause = json.dumps(made, separators=(",", ":")).encode(), self.initial_backoff_seconds
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._post(body)
            except _RejectedError as error:
                if attempt == ATTEMPTS:
                    self.counters.lost("webhook", events, str(error))
                    return not self.strict
                time.sleep(pause * (1 + random.random() * JITTER))  # noqa: S311 - jitter, no secret
                pause *= GROWTH
            else:
                break
        return True

    def shut_down(self) -> None:
        """Nothing is held: whoever sends waits for the end."""

    def _post(self, body: bytes) -> None:
        url = f"{self.destination.server}?timeout={TIMEOUT_SECONDS}s"
        try:
            status, answer = self._answer(urlsplit(url).hostname or "", urlsplit(url).port, body)
        except ConnectionRefusedError as error:
            raise _RejectedError(
                f'Post "{url}": dial tcp {urlsplit(url).netloc}: connect: connection refused'
            ) from error
        except ssl.SSLCertVerificationError as error:
            words = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
            raise _RejectedError(f'Post "{url}": {words}') from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _RejectedError(f'Post "{url}": {str(error) or type(error).__name__}') from error
        if not 200 <= status <= 206:
            words = f'an error on the server ("{answer}") has prevented the request from being successful'
            raise _RejectedError(words)

    def _answer(self, host: str, port: int | None, body: bytes) -> tuple[int, str]:
        where = urlsplit(self.destination.server)
        connection = (
            http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=self._context())
            if where.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        )
        headers = {"Accept": "application/json, */*", "Content-Type": "application/json"}
        headers["User-Agent"] = "Go-http-client/1.1"
        if self.destination.token and where.scheme == "https":
            headers["Authorization"] = f"Bearer {self.destination.token}"
        try:
            connection.request("POST", f"{where.path or '/'}?timeout={TIMEOUT_SECONDS}s", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(1024).decode(errors="replace").strip()
        finally:
            connection.close()

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.destination.authority or None)
        if self.destination.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
