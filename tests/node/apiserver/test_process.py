"""The running API server in /proc: whose command line, whose socket, which files."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditctl.node.apiserver import process
from auditctl.node.apiserver.process import Process

COMMAND = ("kube-apiserver", "--a=1", "--b=$(VAR)", "--c=3")


@pytest.mark.parametrize(
    ("argv", "runs"),
    [
        (("kube-apiserver", "--a=1", "--b=x", "--c=3"), True),
        (("/usr/local/bin/kube-apiserver", "--a=1", "--b=x", "--c=3"), True),
        (("/usr/bin/python3", "/x/kube-apiserver", "--a=1", "--b=x", "--c=3"), True),
        (("kube-apiserver", "--a=1", "--c=3", "--b=x"), False),
        (("kube-apiserver", "--a=1", "--b=x", "--c=4"), False),
        (("kube-apiserver", "--a=1", "--b=x"), False),
        (("kube-apiserver", "--a=1", "--b=x", "--c=3", "--d=4"), False),
        (("etcd", "--a=1", "--b=x", "--c=3"), False),
    ],
)
def test_a_process_runs_a_command_only_if_every_argument_is_equal(argv: tuple[str, ...], runs: bool) -> None:
    """Name by its last element; what the kubelet expands matches anything."""
    assert Process(1, 0.0, argv).runs(COMMAND) is runs


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A program named kube-apiserver that listens."""
    program = tmp_path / "kube-apiserver"
    program.write_text(
        f"#!{sys.executable}\nimport socket, sys\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\n"
        "log = open(sys.argv[1].partition('=')[2], 'a')\nprint(s.getsockname()[1], flush=True)\nsys.stdin.read()\n"
    )
    program.chmod(0o755)
    child = subprocess.Popen(
        [program, f"--audit-log-path={tmp_path / 'log'}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    yield child, int(child.stdout.readline())
    child.communicate()


def test_the_owner_of_the_listening_socket_is_found(server: tuple[subprocess.Popen[str], int], tmp_path: Path) -> None:
    """By port; with its flags, its start, its open files."""
    child, port = server

    found = process.listener(port)

    assert found is not None
    assert found.pid == child.pid
    assert found.flags == (f"--audit-log-path={tmp_path / 'log'}",)
    status = (tmp_path / "log").stat()
    assert (status.st_dev, status.st_ino) in found.open_inodes()
    assert found.shares_our_mounts()
    assert found.alive()
    assert process.owns(child.pid, process.listening_inodes(port))
    assert not process.owns(os.getpid(), process.listening_inodes(port))


def test_a_process_that_ended_is_not_alive(server: tuple[subprocess.Popen[str], int]) -> None:
    """Pid and start together."""
    child, port = server
    found = process.listener(port)
    assert found is not None
    child.communicate()

    assert not found.alive()
    assert process.listener(port) is None


def test_another_program_on_the_port_is_not_the_api_server() -> None:
    """The port is taken, and by nobody of that name."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        assert process.port_is_taken(port)
        assert process.listener(port) is None
