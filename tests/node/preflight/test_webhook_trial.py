"""A receiver is tried before the edit: one empty list, from this host, as the API server will reach it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from auditctl.node.preflight import webhook_trial
from auditctl.node.preflight.webhook_config import WebhookConfig
from auditctl.node.preflight.webhook_trial import ContainerEnvironment, WebhookTrialVerdict, attempt


class Answering(BaseHTTPRequestHandler):
    """Answers with the status that its path names, and remembers what came."""

    seen: ClassVar[list[tuple[str, str, Any, str | None]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.path, self.headers["Content-Type"], body, self.headers["Authorization"]))
        status = self.path.rpartition("/")[2].partition("?")[0]
        self.send_response(int(status))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quietly."""


@pytest.fixture
def port() -> Iterator[int]:
    Answering.seen.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, WebhookTrialVerdict.REACHED),
        (206, WebhookTrialVerdict.REACHED),
        (401, WebhookTrialVerdict.FAILED),
        (500, WebhookTrialVerdict.FAILED),
    ],
)
def test_only_200_to_206_is_success(port: int, status: int, verdict: WebhookTrialVerdict) -> None:
    tried = attempt(WebhookConfig(server=f"http://127.0.0.1:{port}/{status}"), ContainerEnvironment())
    assert tried.verdict is verdict
    assert str(status) in tried.words


def test_one_empty_list_of_events_is_posted_and_no_credential_without_tls(port: int) -> None:
    attempt(WebhookConfig(server=f"http://127.0.0.1:{port}/200?key=1", token="s3cr3t"), ContainerEnvironment())
    [(path, kind, body, authorization)] = Answering.seen
    assert path == "/200?timeout=30s"
    assert kind == "application/json"
    assert (body["kind"], body["items"]) == ("EventList", [])
    assert authorization is None


def test_a_host_alias_of_the_pod_is_followed(port: int) -> None:
    config = WebhookConfig(server=f"http://receiver.example:{port}/200")
    assert (
        attempt(config, ContainerEnvironment(aliases={"receiver.example": "127.0.0.1"})).verdict
        is WebhookTrialVerdict.REACHED
    )


def test_the_proxy_of_the_pod_is_used_unless_its_no_proxy_says_otherwise(port: int) -> None:
    config = WebhookConfig(server="http://receiver.example/200")
    through = {"HTTP_PROXY": f"http://127.0.0.1:{port}"}
    tried = attempt(config, ContainerEnvironment({**through, "NO_PROXY": ".example"}))
    assert (tried.verdict, Answering.seen) == (WebhookTrialVerdict.FAILED, [])
    attempt(config, ContainerEnvironment(through))
    assert [path for path, *_ in Answering.seen] == ["http://receiver.example/200?timeout=30s"]


def test_nobody_there_a_service_name_and_an_exec_plugin_are_told_apart(port: int) -> None:
    refused = attempt(WebhookConfig(server="https://127.0.0.1:1/"), ContainerEnvironment())
    assert (refused.verdict, "refused" in refused.words) == (WebhookTrialVerdict.FAILED, True)
    service = attempt(WebhookConfig(server="https://audit.logging.svc:443/"), ContainerEnvironment())
    assert "name of a Service" in service.words
    runs = attempt(WebhookConfig(server=f"http://127.0.0.1:{port}/200", runs="/usr/bin/token"), ContainerEnvironment())
    assert (runs.verdict, Answering.seen) == (WebhookTrialVerdict.UNKNOWN, [])


def test_tls_with_a_server_that_speaks_none_fails_with_a_reason(port: int) -> None:
    assert (
        attempt(WebhookConfig(server=f"https://127.0.0.1:{port}/200"), ContainerEnvironment()).verdict
        is WebhookTrialVerdict.FAILED
    )


def test_another_scheme_than_http_is_told_before_anybody_is_asked(port: int) -> None:
    tried = attempt(WebhookConfig(server=f"ftp://127.0.0.1:{port}/200"), ContainerEnvironment())
    assert (tried.verdict, Answering.seen) == (WebhookTrialVerdict.FAILED, [])


def test_an_answer_that_comes_drop_by_drop_does_not_hold_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is for the whole answer, not for each drop of it."""
    monkeypatch.setattr(webhook_trial, "_SECONDS", 1.0)
    ended = threading.Event()

    def drip(listener: socket.socket) -> None:
        stream, _ = listener.accept()
        with stream:
            while not ended.wait(0.2):
                with suppress(OSError):
                    stream.sendall(b"H")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        dripping = threading.Thread(target=drip, args=(listener,), daemon=True)
        dripping.start()
        tried = attempt(
            WebhookConfig(server=f"http://127.0.0.1:{listener.getsockname()[1]}/200"), ContainerEnvironment()
        )
        ended.set()
        dripping.join(10)
    assert (tried.verdict, "no whole answer" in tried.words) == (WebhookTrialVerdict.FAILED, True)


def test_a_service_name_is_not_judged_by_this_host_where_the_pod_asks_the_clusters_dns() -> None:
    config = WebhookConfig(server="https://audit.logging.svc:443/")

    assert attempt(config, ContainerEnvironment(uses_cluster_dns=True)).verdict is WebhookTrialVerdict.UNKNOWN
    assert attempt(config, ContainerEnvironment()).verdict is WebhookTrialVerdict.FAILED
