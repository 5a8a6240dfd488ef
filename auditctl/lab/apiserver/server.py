"""HTTPS, HTTP/1.1: one request through the filters of kube-apiserver, in the order of pkg/server/config.go.

Audit-ID, request attributes, authentication, audit (RequestReceived), impersonation, authorization, handler, audit
(ResponseStarted, ResponseComplete). A 401 is one ResponseStarted event with no user.
"""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass, field, replace
from typing import Any, cast
from urllib.parse import parse_qs

from auditctl.facts import Version
from auditctl.lab.apiserver import audit_events
from auditctl.lab.apiserver.audit_events import AuditedRequest, Recorder, Response
from auditctl.lab.apiserver.authentication import ANONYMOUS, Caller, of_certificate
from auditctl.lab.apiserver.https import HttpsConnection, HttpsServer
from auditctl.lab.apiserver.metrics import request_labels
from auditctl.lab.apiserver.request_body import MediaTypeError, decode
from auditctl.lab.apiserver.responses import Answers, StandInResponse, failure
from auditctl.lab.node import klog
from auditctl.lab.node.klog import KlogSeverity
from auditctl.lab.node.layout import STAND_IN
from auditctl.policy.evaluate import is_long_running
from auditctl.policy.request import RequestError, attributes
from auditctl.policy.types import Decision, Stage, User

WATCH_SECONDS = 30
BODY_LIMIT_BYTES = 3 * 1024 * 1024


@dataclass(slots=True)
class StandInApi:
    """What every connection of one server shares."""

    version: Version
    answers: Answers
    recorder: Recorder
    anonymous: bool = True
    stopping: threading.Event = field(default_factory=threading.Event)


class Server(HttpsServer):
    """What cannot shake hands is told in the real server's words."""

    request_queue_size = 128
    api: StandInApi

    def not_served(self, client_address: Any, error: OSError) -> None:
        words = f"http: TLS handshake error from {client_address[0]}:{client_address[1]}: {error}"
        klog.write(klog.line(KlogSeverity.INFO, "log.go:245", words, 1))


class Connection(HttpsConnection):
    """One client connection."""

    @property
    def api(self) -> StandInApi:
        return cast("Server", self.server).api

    def version_string(self) -> str:
        return STAND_IN

    def serve(self) -> None:
        body = self._body()
        audit_id = self.headers.get("Audit-ID") or audit_events.new_id()
        caller = self._caller()
        try:
            requested = attributes(self.command, self.path, caller.user if caller else None)
        except RequestError as error:
            self._send(failure(500, "InternalError", error.message), audit_id)
            return
        agent = self.headers.get("User-Agent", "")
        request = AuditedRequest(
            attributes=requested,
            uri=self.path,
            source=self.client_address[0],
            user_agent=agent,
            audit_id=audit_id,
            extra=caller.extra if caller else {},
        )
        if caller is None:
            self._refuse(request)
        else:
            self._audited(request, caller, body)

    def _refuse(self, request: AuditedRequest) -> None:
        """Record a request without a user as one event, before the answer is out (authn_audit.go)."""
        answer = failure(401, "Unauthorized", "Unauthorized")
        response = Response(code=401, status=answer.status, shown=answer.shown)
        self.api.recorder.record(self.api.recorder.decide(request), request, Stage.RESPONSE_STARTED, response)
        self._send(answer, request.audit_id)

    def _audited(self, request: AuditedRequest, caller: Caller, body: bytes) -> None:
        recorder = self.api.recorder
        decision = recorder.decide(request)
        if not recorder.record(decision, request, Stage.REQUEST_RECEIVED):
            recorder.counters.rejected += 1
            text = f'Internal Server Error: "{self.path}": failed to store audit event\n'
            self._send(StandInResponse(500, text.encode()), request.audit_id)
            return
        request, caller = self._impersonated(request, caller)
        written = self._decoded(body)
        attributed = replace(request.attributes, user=caller.user)
        answer = self.api.answers.answer(
            caller, attributed, self.path.partition("?")[2], written, accept=self.headers.get("Accept", "")
        )
        response = _response(answer, None if isinstance(written, MediaTypeError) else written)
        if is_long_running(request.attributes):
            response = replace(response, shown=None if answer.code == 200 else response.shown)
            self._stream(request, decision, answer, response)
        else:
            self._send(answer, request.audit_id)
        recorder.record(decision, request, Stage.RESPONSE_COMPLETE, response)
        recorder.counters.count(request_labels(attributed, answer.code, dry_run="dryRun=All" in self.path))

    def _stream(
        self, request: AuditedRequest, decision: Decision | None, answer: StandInResponse, response: Response
    ) -> None:
        """Hold a watch open until its timeout; answer other long requests at once. No body is audited."""
        streamed = answer.code == 200 and request.attributes.verb == "watch"
        self.api.recorder.record(decision, request, Stage.RESPONSE_STARTED, response)
        if not streamed:
            self._send(answer, request.audit_id)
            return
        self._head(200, "application/json", request.audit_id, {"Connection": "close"})
        self.close_connection = True
        timeout_text = parse_qs(self.path.partition("?")[2]).get("timeoutSeconds", [""])[0]
        self.api.stopping.wait(min(int(timeout_text), WATCH_SECONDS) if timeout_text.isdecimal() else WATCH_SECONDS)

    def _caller(self) -> Caller | None:
        """Return the user: a client certificate counts first, a token is never known, else anonymous if allowed."""
        connection = cast("ssl.SSLSocket", self.connection)
        certificate, encoded = connection.getpeercert(), connection.getpeercert(binary_form=True)
        if certificate and encoded:
            return of_certificate(certificate.get("subject"), encoded, self.api.version)
        if self.headers.get("Authorization", "").lower().startswith("bearer ") or not self.api.anonymous:
            return None
        return Caller(ANONYMOUS)

    def _impersonated(self, request: AuditedRequest, caller: Caller) -> tuple[AuditedRequest, Caller]:
        """Return the impersonated user; the policy has seen the real one. Only administrators may impersonate."""
        name = self.headers.get("Impersonate-User")
        if not name or caller.user == ANONYMOUS:
            return request, caller
        groups = tuple(self.headers.get_all("Impersonate-Group") or ())
        user = User(name, (*groups, "system:authenticated"))
        return replace(request, impersonated=user), Caller(user)

    def _decoded(self, body: bytes) -> Any:
        """Return the value of a body, or the error that the answer repeats."""
        try:
            return decode(body, self.headers.get("Content-Type", ""))
        except MediaTypeError as error:
            return error

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > BODY_LIMIT_BYTES or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            return b""
        return self.rfile.read(int(length))

    def _send(self, answer: StandInResponse, audit_id: str) -> None:
        self._head(answer.code, answer.content_type, audit_id, {"Content-Length": str(len(answer.body))})
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _head(self, code: int, content_type: str, audit_id: str, more: dict[str, str]) -> None:
        if self.api.stopping.is_set():
            self.close_connection = True
        self.send_response(code)
        fixed = {"Audit-Id": audit_id, "Cache-Control": "no-cache, private", "Content-Type": content_type}
        for name, value in (fixed | more).items():
            self.send_header(name, value)
        self.end_headers()


def _response(answer: StandInResponse, written: Any) -> Response:
    verdict = answer.verdict
    return Response(
        code=answer.code,
        status=answer.status,
        shown=answer.shown,
        request_object=written,
        allowed=verdict.reason if verdict else None,
        forbidden=verdict is not None and not verdict.allowed,
    )
