"""Every wait of an exchange ends at one deadline, however the answer is cut into pieces."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from auditctl.transport import ExchangeDeadline, HttpAnswer, connect, exchange, secured

SECONDS = 0.5
START = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def server(first: bytes, again: bytes, *, quick: bool = False) -> Iterator[int]:
    """A server that sends ``first``, and ``again`` for ever, a piece each 50 ms or as fast as it goes."""
    ended = threading.Event()

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):
            stream, _ = listener.accept()
            with stream:
                stream.sendall(first)
                while again and not ended.wait(0 if quick else 0.05):
                    stream.sendall(again)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve, args=(listener,), daemon=True)
        serving.start()
        yield listener.getsockname()[1]
        ended.set()
        serving.join(10)


def ask(port: int, limit_bytes: int = 1 << 20) -> HttpAnswer:
    deadline = ExchangeDeadline.within(SECONDS)
    with connect("127.0.0.1", port, deadline) as stream:
        return exchange(stream, ("GET", "/"), {}, deadline, host="localhost", limit_bytes=limit_bytes)


ENDLESS = {
    "a body drop by drop": (START + b"Content-Length: 1000000\r\n\r\n", b"x", False),
    "headers drop by drop": (START, b"X: y\r\n", False),
    "a status line drop by drop": (b"", b"H", False),
    "nothing but 100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", False),
    "100 Continue without a pause": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, True),
    "chunks drop by drop": (START + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", False),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_an_answer_that_never_ends_is_given_up_at_the_deadline(name: str) -> None:
    first, again, quick = ENDLESS[name]
    with server(first, again, quick=quick) as port, pytest.raises(OSError, match=r"no whole answer within|speak HTTP"):
        ask(port)


def test_a_handshake_that_never_ends_is_given_up_at_the_deadline() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    deadline = ExchangeDeadline.within(SECONDS)
    with (
        server(b"\x16\x03\x03\x40\x00", b"\x02") as port,
        connect("127.0.0.1", port, deadline) as plain,
        pytest.raises(OSError, match=r"timed out|no whole answer"),
        secured(plain, context, "localhost", deadline),
    ):
        raise AssertionError


class SoManyTimes(ExchangeDeadline):
    """A deadline that passes when it is asked for the tenth time, not by the clock."""

    def left(self) -> float:
        ASKED.append(self)
        if len(ASKED) == 10:
            raise TimeoutError("passed")
        return 20.0


ASKED: list[ExchangeDeadline] = []


@pytest.mark.timeout(30)
def test_the_deadline_counts_while_a_peer_sends_what_tls_ignores_without_a_pause() -> None:
    """HelloRequest messages: OpenSSL with a socket of its own reads them for ever and never comes back."""
    flood = (b"\x16\x03\x03\x40\x00" + bytes(0x4000)) * 64
    deadline = SoManyTimes(0.0, 0.0)
    with (
        server(flood, b"\x16", quick=False) as port,
        connect("127.0.0.1", port, ExchangeDeadline.within(20)) as plain,
        pytest.raises(TimeoutError, match="passed"),
        secured(plain, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "localhost", deadline),
    ):
        raise AssertionError


def test_a_body_without_an_end_is_cut() -> None:
    with server(START + b"\r\n", b"x" * 65536, quick=True) as port:
        assert len(ask(port, limit_bytes=1000).body) == 1000


def test_a_whole_answer_is_returned_with_its_server() -> None:
    with server(START + b"Server: us\r\nContent-Length: 2\r\n\r\nok", b"") as port:
        assert ask(port) == HttpAnswer(200, "OK", b"ok", "us")


@pytest.mark.parametrize("reason", [b"\x1b[31mred", b"a\x07b"])
def test_a_reason_that_a_terminal_would_obey_is_left_out(reason: bytes) -> None:
    with server(b"HTTP/1.1 500 " + reason + b"\r\nContent-Length: 0\r\n\r\n", b"") as port:
        assert ask(port).reason == ""


def test_a_deadline_that_has_passed_ends_even_what_would_be_quick() -> None:
    with pytest.raises(TimeoutError, match="no whole answer within"):
        ExchangeDeadline(0.0, 5.0).left()


def test_a_name_that_no_server_resolves_is_given_up_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The C library waits for each name server in turn; an address needs no resolver."""
    ended = threading.Event()
    resolve = socket.getaddrinfo

    def without_an_answer(*words: Any) -> Any:
        if socket.AI_NUMERICHOST not in words:
            ended.wait(30)
        return resolve(*words)

    monkeypatch.setattr(socket, "getaddrinfo", without_an_answer)
    with pytest.raises(TimeoutError, match=r"receiver\.example was not resolved within"):
        connect("receiver.example", 443, ExchangeDeadline.within(SECONDS))
    ended.set()
    with server(b"", b"") as port:
        connect("127.0.0.1", port, ExchangeDeadline.within(SECONDS)).close()
