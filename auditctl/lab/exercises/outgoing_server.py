"""The server that goes: once it listens no more the kubelet would leave it 30 s; on a node to practise on, two will do."""

from __future__ import annotations

import time

from auditctl.node.apiserver.process import listener
from auditctl.node.kubelet.restart import OutgoingProcess

_SECONDS = 2.0


class OutgoingServer:
    """Whoever listens on the port when this is made. ``look`` is called often, while one waits for its successor."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._old = OutgoingProcess.hold(listener(port))

    def look(self) -> None:
        """End it, if it has not listened for so long."""
        if self._old is not None:
            self._old.drain(self._port, _SECONDS, time.monotonic())

    def listens(self) -> bool:
        """Does it serve still?"""
        process = listener(self._port)
        return self._old is not None and process is not None and process.identity == self._old.process.identity

    def release(self) -> None:
        """Let it be."""
        if self._old is not None:
            self._old.release()
            self._old = None

    def __enter__(self) -> OutgoingServer:  # noqa: PYI034 - typing.Self is of Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
