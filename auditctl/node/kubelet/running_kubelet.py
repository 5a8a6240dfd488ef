"""Check, before an edit, that somebody would act on it: a kubelet that runs, and its container runtime."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.findings import Finding, Severity
from auditctl.node.change.files import Root
from auditctl.node.kubelet import config, kubelet_log

CHECK = "kubelet-not-running"
_RUNTIME_CHECK = "runtime-not-running"
_SECONDS = 2.0
_PROC = Path("/proc")


def findings(root: Root) -> Iterator[Finding]:
    """Yield an error where no kubelet runs, where it is stopped, or where its container runtime does not answer."""
    kubelet = kubelet_log.find(root)
    if kubelet is None:
        text = "no kubelet runs on this node, so nothing would act on the manifest"
        yield Finding(
            check=CHECK, severity=Severity.ERROR, message=text, fix="start the kubelet (see: systemctl status kubelet)"
        )
        return
    if is_stopped(kubelet.pid):
        text = f"the kubelet (process {kubelet.pid}) is stopped by a signal, so nothing would act on the manifest"
        yield Finding(
            check=CHECK, severity=Severity.ERROR, message=text, fix=f"kill -CONT {kubelet.pid}, or restart the kubelet"
        )
        return
    if root.is_host:
        yield from _of_the_runtime(kubelet)


def is_stopped(pid: int) -> bool:
    """Tell whether a process is stopped (SIGSTOP, a debugger), by its state in ``/proc/PID/stat`` (proc(5))."""
    with suppress(OSError, IndexError):
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] in ("T", "t")
    return False


def _of_the_runtime(kubelet: kubelet_log.RunningKubelet) -> Iterator[Finding]:
    """Yield an error where nobody listens on the socket of the container runtime."""
    program = config.Program(kubelet.pid, kubelet.argv)
    try:
        endpoint = config.settings(program).runtime
    except (OSError, RefusedError):
        return  # another check says that the configuration cannot be read
    path = program.host(endpoint.removeprefix("unix://"))
    if not endpoint.removeprefix("unix://").startswith("/"):
        return
    if reason := unreachable(path):
        text = f"the container runtime of the kubelet does not answer on {endpoint} ({reason})"
        fix = "start it (see: systemctl status containerd, or crio)"
        yield Finding(
            check=_RUNTIME_CHECK, severity=Severity.ERROR, message=f"{text}, so no container would be started", fix=fix
        )


def unreachable(path: Path) -> str:
    """Return why no connection to a Unix socket is possible; empty where one is, or where it may not be tried."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(_SECONDS)
        try:
            stream.connect(str(path))
        except PermissionError:
            return ""
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return ""
