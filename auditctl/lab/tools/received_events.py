"""``lab receiver``: the receiver in the foreground, until a signal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

from auditctl.lab.tools.receiver import Behaviour, ReceivedCounts, open_receiver


def receive(folder: Path, port: int, behaviour: Behaviour, say: Callable[[str], None]) -> ReceivedCounts:
    """Serve until SIGINT or SIGTERM; what came is counted. Raises RefusedError where it cannot start."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: ended.set())
    receiver = open_receiver(folder.absolute(), port, behaviour)
    receiver.say = say
    receiver.start()
    say(f"receiver listens at {receiver.url}. To use it: auditctl enable --webhook-config {receiver.config}")
    while not ended.wait(0.5):  # an endless wait would not let Python see the signal
        pass
    receiver.stop()
    return receiver.counts
