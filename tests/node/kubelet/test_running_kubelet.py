"""Whether somebody would act on an edit: a kubelet that is missing or stopped, a runtime that does not answer."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from labcluster import PACE

from auditctl.lab import down, status, up
from auditctl.node.change.files import Root
from auditctl.node.kubelet import running_kubelet


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    up(tmp_path / "node", pace=PACE)
    yield tmp_path / "node"
    down(tmp_path / "node")


def test_a_kubelet_that_is_stopped_or_gone_is_said_before_an_edit(root: Path) -> None:
    lab = status(root)
    assert lab is not None
    pid = lab.kubelet_pid
    assert pid is not None
    assert list(running_kubelet.findings(Root(root))) == []

    os.kill(pid, signal.SIGSTOP)
    (stopped,) = running_kubelet.findings(Root(root))
    os.kill(pid, signal.SIGCONT)
    assert (stopped.check, f"(process {pid}) is stopped by a signal" in stopped.message) == (
        "kubelet-not-running",
        True,
    )

    os.kill(pid, signal.SIGKILL)
    (gone,) = running_kubelet.findings(Root(root))
    assert gone.message.startswith("no kubelet runs on this node")


def test_a_socket_that_nobody_listens_on_is_unreachable(tmp_path: Path) -> None:
    path = tmp_path / "containerd.sock"
    assert running_kubelet.unreachable(path) == "no such file or directory"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert running_kubelet.unreachable(path) == "connection refused"
        server.listen()
        assert running_kubelet.unreachable(path) == ""
