"""Exchange one HTTP request over one connection, within one deadline; the only client of HTTP in the package.

A timeout of a socket is for each read, so a server that sends a byte now and then holds its client for ever. Here
every step (connect, TLS, each write and each read, interim answers included) gets what is left of one deadline.
Nothing is retried, and no redirect is followed.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:  # slow to import, and most commands make no connection
    import ssl


class HttpAnswer(NamedTuple):
    """One HTTP answer; ``status`` 0: no connection, and ``reason`` says why. ``server`` is its ``Server`` header."""

    status: int
    reason: str = ""
    body: bytes = b""
    server: str = ""


class ExchangeDeadline(NamedTuple):
    """The moment (of the monotonic clock) when an exchange ends, and how many seconds it was given."""

    ends: float
    seconds: float

    @classmethod
    def within(cls, seconds: float) -> ExchangeDeadline:
        """Return the deadline that many seconds from now."""
        return cls(time.monotonic() + seconds, seconds)

    def left(self) -> float:
        """Return the seconds that are left.

        Raises:
            TimeoutError: none are.
        """
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no whole answer within {self.seconds:.0f} s")
        return left


class TimedStream(io.RawIOBase):
    """A socket whose every operation ends at the deadline; ``http.client`` uses it as if it were a socket."""

    def __init__(self, stream: socket.socket, deadline: ExchangeDeadline) -> None:
        self.stream = stream
        self.deadline = deadline

    def readable(self) -> bool:
        """Return True, as ``io.BufferedReader`` demands."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read what there is, at least one byte; 0 is the end of the stream."""
        self.stream.settimeout(self.deadline.left())
        try:
            return self.stream.recv_into(buffer)
        except TimeoutError:
            self.deadline.left()
            raise

    def sendall(self, content: bytes) -> None:
        """Write all of it."""
        self.stream.settimeout(self.deadline.left())
        self.stream.sendall(content)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the reader that ``http.client`` asks a socket for."""
        return io.BufferedReader(self)

    def close(self) -> None:
        """Leave the socket to its owner."""


def connect(host: str, port: int, deadline: ExchangeDeadline, mark: int = 0) -> socket.socket:
    """Return a connection to the first address of ``host`` that takes it.

    ``mark`` is for rules of the kernel (socket(7), SO_MARK); only root may set one, so without it there is none.

    Raises:
        OSError: none does, or the name has no address.
    """
    failure = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
        stream = socket.socket(family, kind, protocol)
        try:
            stream.settimeout(deadline.left())
            if mark:
                with suppress(OSError):
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
            stream.connect(address)
        except OSError as error:
            stream.close()
            failure = error
            continue
        return stream
    raise failure


@contextmanager
def secured(
    plain: socket.socket, context: ssl.SSLContext, server_name: str, deadline: ExchangeDeadline
) -> Iterator[socket.socket]:
    """Shake hands over ``plain``, and give the encrypted stream. Raises OSError (``ssl.SSLError`` is one)."""
    plain.settimeout(deadline.left())
    with context.wrap_socket(plain, server_hostname=server_name) as stream:
        yield stream


def exchange(
    stream: socket.socket,
    request: tuple[str, str],
    headers: Mapping[str, str],
    deadline: ExchangeDeadline,
    *,
    host: str,
    body: bytes | None = None,
    limit_bytes: int = 1 << 20,
) -> HttpAnswer:
    """Send a request (method and target) and return its answer; a longer body than ``limit_bytes`` is cut there.

    Raises:
        OSError: the connection broke, the deadline passed, or what answers does not speak HTTP.
        ValueError: a header cannot be written; the words may quote it, and it may be secret.
    """
    connection = http.client.HTTPConnection(host)
    connection.sock = cast("socket.socket", TimedStream(stream, deadline))
    method, target = request
    try:
        connection.request(method, target, body=body, headers=dict(headers))
        answer = connection.getresponse()
        content = answer.read(limit_bytes)
    except http.client.HTTPException as error:
        raise OSError("what answers does not speak HTTP") from error
    reason = answer.reason if answer.reason.isprintable() else ""
    return HttpAnswer(answer.status, reason, content, answer.headers.get("Server") or "")
