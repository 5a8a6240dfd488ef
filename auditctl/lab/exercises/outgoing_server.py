"""The server that goes: once it listens no more the kubelet would leave it 30 s; on a node to practise on, two will do."""

from __future__ import annotations

import time

from auditctl.node.apiserver.process import listener
from auditctl.node.kubelet.restart import OutgoingProcess

_SECONDS = 2.0


class OutgoingServer:
    """The process that listens on the port at construction. Call `look` often while waiting for its successor."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._process = OutgoingProcess.hold(listener(port))

    def look(self) -> None:
        """End the process if it has stopped listening some seconds ago and still runs."""
        if self._process is not None:
            self._process.drain(self._port, _SECONDS, time.monotonic())

    def listens(self) -> bool:
        """Return whether the process still listens on the port."""
        process = listener(self._port)
        return self._process is not None and process is not None and process.identity == self._process.process.identity

    def release(self) -> None:
        """Close the handle of the process; it is not ended any more."""
        if self._process is not None:
            self._process.release()
            self._process = None

    def __enter__(self) -> OutgoingServer:  # noqa: PYI034 - typing.Self is of Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
