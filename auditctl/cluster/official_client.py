"""The connection through the official client: it reads the kubeconfig and makes the credentials, urllib3 sends.

Its own calls are not used: what is asked here are paths, and the answers of each API server at its own address.
"""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, cast

import urllib3
from kubernetes import client, config

from auditctl.cluster.connection import SERVER_NAME, KubeconfigChoice, ServerAddress
from auditctl.errors import RefusedError, UsageError
from auditctl.node.apiserver.client import USER_AGENT
from auditctl.transport import HttpAnswer

_CONFIG = cast("Any", config)  # its functions have no types
_PIECE_BYTES = 1 << 16
_GRACE_SECONDS = 1.0  # the library's own limits come first: they tell a connection from an answer
_UPGRADE = "pip install --upgrade 'kubernetes>=31,!=36.*'"


class OfficialClient:
    """An `ApiConnection`; one client of the library for each address, made when it is first asked."""

    def __init__(self, configuration: Any, context: str) -> None:
        self.server = str(configuration.host)
        self.context = context
        self._configuration = configuration
        self._clients: dict[ServerAddress | None, Any] = {}

    @classmethod
    def of(cls, chosen: KubeconfigChoice) -> OfficialClient:
        """Return the client of a context.

        Raises:
            UsageError: there is no such context; RefusedError: the kubeconfig cannot be used.
        """
        context = _context(chosen)
        configuration = client.Configuration()
        if not hasattr(configuration, "tls_server_name"):
            text = f"the Python package kubernetes is too old: it cannot ask each API server ({_UPGRADE})"
            raise RefusedError(text, check="kubernetes-package", fix=_UPGRADE)
        with _complaints() as complaints:
            try:
                _CONFIG.load_kube_config(
                    config_file=str(chosen),
                    context=str(context["name"]),
                    client_configuration=configuration,
                    persist_config=False,
                )
            except Exception as error:
                raise _unusable(chosen, _first_line(error)) from error
        has_credentials = bool(configuration.api_key or configuration.cert_file or configuration.username)
        if complaints and not has_credentials:
            raise _unusable(chosen, f"its credential plugin failed: {complaints[0]}")
        configuration.retries = False
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # a line of Python for each request
        return cls(configuration, str(context["name"]))

    def get(
        self,
        path: str,
        at: ServerAddress | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float = 5.0,
        limit_bytes: int = 1 << 20,
    ) -> HttpAnswer:
        """Send one request and return its answer; status 0 where there is none."""
        sent = {"User-Agent": USER_AGENT, "Accept": "application/json", **self._authorization(), **(headers or {})}
        answers: SimpleQueue[HttpAnswer] = SimpleQueue()

        def ask() -> None:
            answers.put(self._answer(f"{at or self.server.rstrip('/')}{path}", at, sent, seconds, limit_bytes))

        # The library limits each read. A server that sends a byte now and then, in its headers too, or what TLS has to
        # ignore without a pause, would hold us; a thread can be left behind.
        threading.Thread(target=ask, daemon=True).start()
        try:
            return answers.get(timeout=seconds + _GRACE_SECONDS)
        except Empty:
            return HttpAnswer(0, f"no whole answer within {seconds:.0f} s")

    def _answer(
        self, url: str, at: ServerAddress | None, headers: Mapping[str, str], seconds: float, limit_bytes: int
    ) -> HttpAnswer:
        end = time.monotonic() + seconds
        try:
            response = self._pool(at).request(
                "GET",
                url,
                headers=headers,
                timeout=urllib3.Timeout(connect=min(seconds, 5.0), read=seconds),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            body = bytearray()
            for piece in response.stream(_PIECE_BYTES, decode_content=True):
                body += piece
                if len(body) >= limit_bytes:
                    break
                if time.monotonic() > end:
                    return HttpAnswer(0, f"no whole answer within {seconds:.0f} s")
            response.release_conn() if response.isclosed() else response.close()
            return HttpAnswer(response.status, response.reason or "", bytes(body[:limit_bytes]))
        except Exception as error:  # noqa: BLE001 (nobody else would hear of it in a thread)
            return HttpAnswer(0, _reason(error, seconds))

    def _pool(self, at: ServerAddress | None) -> Any:
        made = self._clients.get(at)
        if made is None:
            configuration = copy.copy(self._configuration)
            if at is not None:
                configuration.host = str(at)
                configuration.tls_server_name = SERVER_NAME if configuration.verify_ssl else None
            made = self._clients[at] = client.ApiClient(configuration)
        return made.rest_client.pool_manager

    def _authorization(self) -> dict[str, str]:
        """Return the header of a token or of a password; the library renews a token that has run out."""
        settings = self._configuration.auth_settings().values()
        return {str(one["key"]): str(one["value"]) for one in settings if one["in"] == "header" and one["value"]}


def _context(chosen: KubeconfigChoice) -> Mapping[str, Any]:
    try:
        contexts, current = _CONFIG.list_kube_config_contexts(str(chosen))
    except Exception as error:
        raise _unusable(chosen, _first_line(error)) from error
    names = sorted(str(one["name"]) for one in contexts)
    if not chosen.context:
        return dict(current)
    for one in contexts:
        if one["name"] == chosen.context:
            return dict(one)
    raise UsageError(f"--context {chosen.context}: {chosen} has no such context; it has {', '.join(names) or 'none'}")


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what the library writes to the log, which is how it tells that a credential plugin failed."""
    lines: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(_first_line(record.getMessage()))

    root = logging.getLogger()
    before, root.handlers = root.handlers, [Collector()]
    try:
        yield lines
    finally:
        root.handlers = before


def _unusable(chosen: KubeconfigChoice, reason: str) -> RefusedError:
    return RefusedError(
        f"{chosen}: not a usable kubeconfig: {reason}", check="kubeconfig", fix="try: kubectl config view"
    )


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _reason(error: BaseException, seconds: float) -> str:
    """Return why there is no answer, in words; the library wraps the cause in its own errors."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, TimeoutError):
            return cause.strerror.lower()
        if isinstance(cause, OSError) and "certificate" in str(cause).lower():
            return _first_line(cause)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError):
        return "no connection: timed out"
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return f"no answer within {seconds:.0f} s"
    return _first_line(error).rpartition(": ")[2] or type(error).__name__
