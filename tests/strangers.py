"""Processes of a less privileged user that pretend to be a component of the control plane."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

STRANGER = 65534
DEADLINE_SECONDS = 10.0
WHY_NOT = (
    "" if os.geteuid() == 0 and shutil.which("cc") else "needs root, to be another user, and a C compiler for a binary"
)
_PROGRAM = """
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
int main(int argc, char **argv) {
  const char *port = getenv("STRANGERS_PORT");
  if (!port) { /* somebody executes us who should not */
    FILE *marker = fopen(MARKER, "w");
    if (marker) { fprintf(marker, "uid=%d\\n", getuid()); fclose(marker); }
    fprintf(stderr, "I0101 00:00:00.000000       1 audit.go:1] Using audit backend: strange\\n");
    sleep(1);
    return 0;
  }
  int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(s, (void *)&a, sizeof a) || listen(s, 64)) return 1;
  for (;;) { int c = accept(s, 0, 0); if (c >= 0) close(c); }
}
"""


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that the stranger may enter and write, outside of pytest's closed ones."""
    path = Path(tempfile.mkdtemp(dir="/tmp", prefix="auditctl-strangers-"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


def build(where: Path) -> Path:
    """The stranger's binary, named kube-apiserver and the stranger's own; executed by somebody else it writes `marker`."""
    source, program = where / "stranger.c", where / "kube-apiserver"
    source.write_text(_PROGRAM)
    subprocess.run(["cc", f'-DMARKER="{where / "marker"}"', "-o", program, source], check=True)
    os.chown(program, STRANGER, STRANGER)
    program.chmod(0o755)
    return program


def free_port() -> int:
    with socket.socket() as any_socket:
        any_socket.bind(("127.0.0.1", 0))
        return int(any_socket.getsockname()[1])


@contextmanager
def listening(program: Path, port: int, words: Sequence[str], before: Sequence[str] = ()) -> Iterator[int]:
    """The stranger's server on a port, with these words after its name; ``before`` is put before the command."""
    user = {"user": STRANGER, "group": STRANGER, "extra_groups": []} if "--kill-child" not in before else {}
    command = [*before, str(program), *words] if before else ["kube-apiserver", *words]
    child = subprocess.Popen(
        command,
        executable=None if before else program,
        env={"STRANGERS_PORT": str(port), "PATH": os.defpath},
        cwd="/",
        start_new_session=True,
        **user,  # type: ignore[call-overload]
    )
    try:
        until = time.monotonic() + DEADLINE_SECONDS
        while not is_listening(port):
            assert child.poll() is None, "the stranger's server has ended"
            assert time.monotonic() < until, "the stranger does not listen"
            os.sched_yield()
        yield child.pid
    finally:
        os.killpg(child.pid, signal.SIGKILL)  # its children, too: a change of user takes --kill-child from them
        child.wait()


def is_listening(port: int) -> bool:
    with socket.socket() as any_socket:
        return any_socket.connect_ex(("127.0.0.1", port)) == 0
