"""A terminal that is held or that stops its jobs keeps nobody from putting the node back."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import termios

import pytest
from nodes import METADATA, Node

from auditctl.lab.node.injected_faults import Faults
from auditctl.lab.node.layout import Layout
from auditctl.lab.node.process import until

pytestmark = pytest.mark.lab

SECONDS = 20
CHANGE = ("enable", "--log-maxage", "5", "--timeout", "2s")


def failing(node: Node) -> bytes:
    """A node on which `CHANGE` never gets ready; the manifest that is to stand there in the end."""
    assert node.enable(METADATA).code == 0
    Faults(only_with="--audit-log-maxage=5", never_ready=True).save(Layout(node.root))
    return node.manifest.read_bytes()


def test_a_held_terminal_does_not_hold_the_way_back(node: Node) -> None:
    """Ctrl-S: whoever writes there waits until Ctrl-Q."""
    before = failing(node)
    master, slave = pty.openpty()
    words = [sys.executable, "-m", "auditctl", "--rootfs", str(node.root), *CHANGE, "-o", "json"]
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=slave, env=environment) as process:
        assert until(lambda: node.manifest.read_bytes() != before, SECONDS)
        termios.tcflow(slave, termios.TCOOFF)
        try:
            assert until(lambda: node.manifest.read_bytes() == before and node.is_ready(), SECONDS)
        finally:
            termios.tcflow(slave, termios.TCOON)
        answer, _ = process.communicate(timeout=SECONDS)
    os.close(slave)
    os.close(master)
    assert (process.returncode, json.loads(answer)["outcome"]) == (4, "RolledBack")


def test_a_run_cannot_be_stopped_with_the_lock_in_its_hand(node: Node) -> None:
    """Ctrl-Z: its watchdog waits for the lock, and would wait with it."""
    before = failing(node)
    process = node.start(*CHANGE, process_group=0)  # the stop of an orphaned group would be passed over by the kernel
    assert until(lambda: node.manifest.read_bytes() != before, SECONDS)
    process.send_signal(signal.SIGTSTP)
    try:
        assert until(lambda: node.manifest.read_bytes() == before and node.is_ready(), SECONDS)
    finally:
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=SECONDS)
    assert process.returncode == 4
