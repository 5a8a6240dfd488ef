"""A practice node in a folder: no root, no cluster, no containers. `up`, `down`, `status`.

A mini kubelet runs a stand-in kube-apiserver from the folder's own /etc/kubernetes/manifests; to auditctl it is a node
like any other, under `--rootfs`. Both processes say what they are, and end when the folder disappears.
"""

from __future__ import annotations

import fcntl
import http.client
import os
import random
import re
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from auditctl.errors import RefusedError, StrandedError
from auditctl.lab.node import files as node_files
from auditctl.lab.node.kubelet import end_leftovers
from auditctl.lab.node.layout import ADDRESS, MARKER, NODE_NAME, STAND_IN, TREES, Layout, Marker, Timing
from auditctl.lab.node.own_folder import refuse_untrusted, untrusted
from auditctl.lab.node.process import ChildProcess, detach, end, until
from auditctl.node.path_trust import UntrustedPathError, private_directory

UP_SECONDS = 20.0
DOWN_SECONDS = 3.0
MINORS = range(31, 38)  # the minors whose kubeadm manifests are known
EPHEMERAL_FROM = 32768  # the kernel's own choices begin here: a port below stays ours between two servers


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A lab as it stands. ``root`` is what `--rootfs` takes; ``made`` is False if it was there already."""

    root: Path
    kubernetes: str
    port: int
    kubelet_pid: int | None
    serving: bool
    made: bool = False
    kind: str = STAND_IN

    @property
    def url(self) -> str:
        return f"https://{ADDRESS}:{self.port}"


def up(directory: Path, *, kubernetes: str = "1.36.2", grace_seconds: float = 2.0, pace: Timing | None = None) -> Lab:
    """Bring a lab up in ``directory`` (made if it is not there) and wait until its API server serves.

    Again on a running lab changes nothing; on one whose processes died, starts them. ``pace`` overrides every time of a
    lab that is made now.
    Raises RefusedError for a folder that somebody else may change, that holds something else or a lab of another
    version, StrandedError where the server does not serve (the lab is left for `lab status` and its logs).
    """
    kubernetes = _version(kubernetes)
    made_directory = _claim(directory.absolute(), kubernetes)
    layout = _layout(directory)
    refuse_untrusted(layout, directory.absolute())
    with _locked(layout):
        marker, made = layout.read_marker(), not node_files.built(layout)
        if marker is None:
            marker = Marker(kubernetes, _free_port(), made_directory, pace or Timing(grace=grace_seconds))
        if made:
            node_files.build(layout, marker)
        if not _running(layout):
            _start(layout)
        if not until(lambda: serves(layout, marker.port), UP_SECONDS):
            raise StrandedError(
                f"the lab in {layout.root} does not serve {UP_SECONDS:g} s after its start",
                check="lab-not-serving",
                fix=f"look into {layout.kubelet_log} and {layout.pod_logs}",
            )
        return _describe(layout, marker, made=made)


def down(directory: Path) -> bool:
    """Stop a lab and remove what it made; False where there is no lab. A folder without our marker is left alone.

    Raises RefusedError for a folder that somebody else may change: nothing in it is believed.

    Removed: the node's own trees (etc, run, sys, usr, var) with all that the node and its tools wrote there, the marker, and the
    folder itself if `up` made it and nothing else is left in it.
    """
    layout = _layout(directory)
    if layout.read_marker() is None:
        return False
    refuse_untrusted(layout, directory.absolute())
    with _locked(layout):
        marker = layout.read_marker()
        if marker is None:
            return False
        end(ChildProcess.load(layout.processes / "kubelet.json"), layout.kubelet_program, DOWN_SECONDS)
        end_leftovers(layout)
        for name in TREES:
            node_files.remove(layout.root / name)
        layout.marker.unlink(missing_ok=True)
        if marker.made_directory:
            with suppress(OSError):  # the user's own files stay, and so does the folder
                layout.root.rmdir()
    return True


def status(directory: Path) -> Lab | None:
    """Return the state of ``directory``; None where there is no lab. Raises RefusedError as `down`."""
    layout = _layout(directory)
    marker = layout.read_marker()
    if marker is None:
        return None
    refuse_untrusted(layout, directory.absolute())
    return _describe(layout, marker, made=False)


def serves(layout: Layout, port: int) -> bool:
    """Tell whether `/readyz` answers 200, TLS verified against the lab's authority."""
    try:
        context = ssl.create_default_context(cafile=str(layout.pki / "ca.crt"))
        connection = http.client.HTTPSConnection(ADDRESS, port, timeout=2, context=context)
        try:
            connection.request("GET", "/readyz", headers={"User-Agent": "auditctl-lab"})
            return connection.getresponse().status == 200
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False


def _describe(layout: Layout, marker: Marker, *, made: bool) -> Lab:
    kubelet = ChildProcess.load(layout.processes / "kubelet.json")
    pid = kubelet.pid if kubelet and kubelet.runs(layout.kubelet_program) else None
    return Lab(
        root=layout.root,
        kubernetes=marker.kubernetes,
        port=marker.port,
        kubelet_pid=pid,
        serving=serves(layout, marker.port),
        made=made,
    )


def _version(text: str) -> str:
    """Return a full version: "v1.36" is "1.36.0". Raises RefusedError for one whose manifest is not known."""
    match = re.fullmatch(r"v?1\.(\d+)(\.\d+)?", text)
    if match is None or int(match[1]) not in MINORS:
        known = f"1.{MINORS.start} to 1.{MINORS.stop - 1}"
        raise RefusedError(f"the lab plays Kubernetes {known}, not {text!r}", check="lab-version")
    return f"1.{match[1]}{match[2] or '.0'}"


def _claim(root: Path, kubernetes: str) -> bool:
    """Make the folder, or make sure that it is ours, and empty or a lab of this version. True if it was made."""
    try:
        with private_directory(root) as (_, made):
            if made:
                return True
    except UntrustedPathError as error:
        raise untrusted(error.component, f"the folder {root}", root) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RefusedError(f"cannot make {root}: {reason}", check="lab-folder", fix="specify another folder") from error
    marker = Layout(root).read_marker()
    if marker is None and (not root.is_dir() or any(root.iterdir())):
        raise RefusedError(
            f"{root} is neither empty nor a lab (no {MARKER}): nothing is put there",
            check="lab-folder",
            fix="use a new or an empty folder",
        )
    if marker is not None and marker.kubernetes != kubernetes:
        words = f"{root} holds a lab of {marker.kubernetes}, not of {kubernetes}"
        raise RefusedError(words, check="lab-version", fix=f"auditctl lab down {root}")
    return False


def _layout(directory: Path) -> Layout:
    """Return the paths of a folder, whose name may go through a link of root's (/var/run): its processes have the real one."""
    path = directory.absolute()
    return Layout(path if path.is_symlink() else path.resolve())


@contextmanager
def _locked(layout: Layout) -> Iterator[None]:
    """Let one `up` or `down` of a folder in at a time, by a lock on the folder, so that no file is left."""
    descriptor = os.open(layout.root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _running(layout: Layout) -> bool:
    kubelet = ChildProcess.load(layout.processes / "kubelet.json")
    return kubelet is not None and kubelet.runs(layout.kubelet_program)


def _start(layout: Layout) -> None:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONDONTWRITEBYTECODE": "1"}
    detach(
        [sys.executable, str(layout.kubelet_program), f"--hostname-override={NODE_NAME}"],
        layout.kubelet_log,
        environment,
    )
    until(lambda: _running(layout), UP_SECONDS)


def _free_port() -> int:
    """Return a free port of 127.0.0.1, below those that the kernel gives to clients."""
    for port in random.sample(range(20000, EPHEMERAL_FROM), 200):
        with socket.socket() as probe:
            try:
                probe.bind((ADDRESS, port))
            except OSError:
                continue
            return port
    raise RefusedError("no free port between 20000 and 32767", check="lab-port")
