"""A port of the practice node that leads to its API server, or to a standby server while one serves.

On a real node the kernel leads new connections to a standby server, for which it needs root. Here clients come through
this relay, which reads for each new connection what auditctl has written in place of a kernel's rule
(`auditctl.node.standby.redirect`), and heeds the time until which it holds.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from pathlib import Path

from auditctl.lab.node.layout import ADDRESS

_FILE = "run/auditctl/standby-redirect.json"
_CHUNK_BYTES = 1 << 16


class Relay:
    """The relay of one node: a thread that accepts, and two for each connection. ``counted``: connections to a standby."""

    def __init__(self, root: Path, port: int) -> None:
        self._file, self._server_port = root / _FILE, port
        self._listener = socket.create_server((ADDRESS, 0))
        self.port: int = self._listener.getsockname()[1]
        self.counted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._lead(client)

    def _lead(self, client: socket.socket) -> None:
        target = self._redirected()
        self.counted += target is not None
        try:
            server = socket.create_connection((ADDRESS, target or self._server_port), 5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        threading.Thread(target=_join, args=(client, server), daemon=True).start()

    def _redirected(self) -> int | None:
        """Return the port of the standby, None where there is none, or nobody has said so for too long."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            rule = json.loads(self._file.read_text())
            if time.clock_gettime(time.CLOCK_BOOTTIME) < rule["until"]:
                return int(rule["port"])
        return None


def _join(client: socket.socket, server: socket.socket) -> None:
    """Copy in both directions until both are at their ends."""
    with client, server:
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK_BYTES):
            sink.sendall(chunk)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
