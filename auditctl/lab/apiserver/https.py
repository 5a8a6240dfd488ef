"""What the stand-in API server and the webhook receiver have in common: HTTPS, HTTP/1.1, a thread a connection."""

from __future__ import annotations

import socketserver
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

IDLE_SECONDS = 60


class HttpsServer(ThreadingHTTPServer):
    """Listens from the moment it is made; answers once ``serve_forever`` runs.

    Each connection shakes hands alone, so that one that does not holds nobody up.
    """

    daemon_threads = True
    tls: ssl.SSLContext

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer would ask DNS for our name
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def finish_request(self, request: Any, client_address: Any) -> None:
        try:
            request.settimeout(IDLE_SECONDS)
            with self.tls.wrap_socket(request, server_side=True) as connection:
                super().finish_request(connection, client_address)
        except OSError as error:  # also ssl.SSLError: the client's affair
            self.not_served(client_address, error)

    def not_served(self, client_address: Any, error: OSError) -> None:
        """Handle a connection that failed before or while it was served: say nothing, unless a server does."""


class HttpsConnection(BaseHTTPRequestHandler):
    """One client connection. ``serve`` is called for each request, whatever its method."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Write nothing: servers keep records of their own."""

    def handle_one_request(self) -> None:
        """Take any method as a request, not only those with a `do_METHOD`."""
        try:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline:
                self.close_connection = True
            elif self.parse_request():
                self.serve()
                self.wfile.flush()
        except OSError:  # the client went away, or was idle too long
            self.close_connection = True

    def serve(self) -> None:
        """Read what belongs to the request, and answer it."""
        raise NotImplementedError
