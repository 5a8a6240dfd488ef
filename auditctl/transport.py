"""Exchange one HTTP request over one connection, within one deadline; the only client of HTTP in the package.

A timeout of a socket is for each read, so a server that sends a byte now and then holds its client for ever. Here
every step (connect, TLS, each write and each read, interim answers included) gets what is left of one deadline.
Nothing is retried, and no redirect is followed.
"""

from __future__ import annotations

import http.client
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar, cast

if TYPE_CHECKING:  # slow to import, and most commands make no connection
    import ssl

_Result = TypeVar("_Result")
_Address: TypeAlias = tuple[Any, Any, int, str, Any]  # as socket.getaddrinfo gives it
_PIECE_BYTES = 1 << 14


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


class ByteStream(Protocol):
    """What an exchange needs of a socket."""

    def settimeout(self, seconds: float | None, /) -> None:
        """Limit the operations that follow."""

    def recv_into(self, buffer: Any, /) -> int:
        """Read what there is, at least one byte; 0 is the end of the stream."""

    def sendall(self, content: bytes, /) -> None:
        """Write all of it."""


class TimedStream(io.RawIOBase):
    """A socket whose every operation ends at the deadline; ``http.client`` uses it as if it were a socket."""

    def __init__(self, stream: ByteStream, deadline: ExchangeDeadline) -> None:
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


def connect(host: str, port: int, deadline: ExchangeDeadline, *, mark: int = 0) -> socket.socket:
    """Return a connection to the first address of ``host`` that takes it.

    ``mark`` is the mark of its packets for the host's packet filter (SO_MARK); only root may set one, others go without.

    Raises:
        OSError: none does, or the name has no address.
    """
    failure = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in _addresses(host, port, deadline):
        stream = socket.socket(family, kind, protocol)
        try:
            stream.settimeout(deadline.left())
            if mark:
                with suppress(PermissionError):
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
            stream.connect(address)
        except OSError as error:
            stream.close()
            failure = error
            continue
        return stream
    raise failure


def _addresses(host: str, port: int, deadline: ExchangeDeadline) -> list[_Address]:
    """Return the addresses of a host. The resolver knows no deadline and waits for each server in turn, so it gets a thread.

    Raises:
        OSError: it has none, or none is known at the deadline.
    """
    with suppress(socket.gaierror):
        return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    answers: SimpleQueue[list[_Address] | OSError] = SimpleQueue()

    def resolve() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
        except OSError as error:
            answers.put(error)

    threading.Thread(target=resolve, daemon=True).start()
    try:
        answer = answers.get(timeout=deadline.left())
    except Empty:
        raise TimeoutError(f"the name {host} was not resolved within {deadline.seconds:.0f} s") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


class TlsStream:
    """TLS over a connected socket. OpenSSL gets what the peer sends piece by piece, and the deadline counts in between.

    With a socket of its own it reads on until it has what it waits for. A peer that sends without a pause what TLS has
    to ignore (HelloRequest, ``ssl/statem/statem_lib.c``) keeps it there past every timeout of the socket.
    """

    def __init__(
        self, plain: socket.socket, context: ssl.SSLContext, server_name: str, deadline: ExchangeDeadline
    ) -> None:
        import ssl

        self._plain = plain
        self._deadline = deadline
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._to_send, server_hostname=server_name)
        self._wants_more = ssl.SSLWantReadError
        self._ended = (ssl.SSLZeroReturnError, ssl.SSLEOFError)

    def handshake(self) -> None:
        """Shake hands. Raises OSError (``ssl.SSLError`` is one)."""
        self._step(self._tls.do_handshake)

    def settimeout(self, _seconds: float | None, /) -> None:
        """Do nothing: every operation ends at the deadline of the stream."""

    def recv_into(self, buffer: Any, /) -> int:
        """Read what there is, at least one byte; 0 is the end of the stream."""
        try:
            return self._step(lambda: cast("int", self._tls.read(len(buffer), buffer)))
        except self._ended:
            return 0

    def sendall(self, content: bytes, /) -> None:
        """Write all of it."""
        self._step(lambda: self._tls.write(content))

    def _step(self, act: Callable[[], _Result]) -> _Result:
        while True:
            try:
                return act()
            except self._wants_more:
                self._flush()  # what the peer waits for
                self._plain.settimeout(self._deadline.left())
                piece = self._plain.recv(_PIECE_BYTES)
                if piece:
                    self._received.write(piece)
                else:
                    self._received.write_eof()
            finally:
                self._flush()  # an alert, too

    def _flush(self) -> None:
        if self._to_send.pending:
            self._plain.settimeout(self._deadline.left())
            self._plain.sendall(self._to_send.read())


@contextmanager
def secured(
    plain: socket.socket, context: ssl.SSLContext, server_name: str, deadline: ExchangeDeadline
) -> Iterator[TlsStream]:
    """Shake hands over ``plain``, and give the encrypted stream. Raises OSError (``ssl.SSLError`` is one)."""
    stream = TlsStream(plain, context, server_name, deadline)
    stream.handshake()
    yield stream


def exchange(
    stream: ByteStream,
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
