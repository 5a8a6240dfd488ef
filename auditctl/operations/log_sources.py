"""Which logs a command reads: those it names, else the node's own with its rotated files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.log.sources import LogSource, open_sources, unreadable
from auditctl.node.logfiles import log_files
from auditctl.node.preflight import node_checks
from auditctl.operations.controlplane import ControlPlane
from auditctl.settings import LOG_FLAG, STANDARD_OUTPUT


def node_log(plane: ControlPlane) -> Path:
    """Where the node's manifest says that the log is on this machine.

    Raises:
        RefusedError: there is no manifest, or it writes no log to a file.
    """
    _, manifest = plane.read_manifest()
    found = node_checks.host_of(plane.root, manifest, LOG_FLAG)
    if found is None:
        value = manifest.flag(LOG_FLAG)
        reason = "writes it to standard output" if value == STANDARD_OUTPUT else "writes none to a file of this machine"
        raise RefusedError(
            f"{plane.manifest_path}: the API server {reason}", check="log-missing", fix="name one: --log"
        )
    return found


def opened(plane: ControlPlane, logs: Sequence[str]) -> list[LogSource]:
    """The logs in time order, open. None named: the node's own and its rotated files.

    Raises:
        RefusedError: one is missing or cannot be read.
    """
    if logs:
        return open_sources(logs)
    log = node_log(plane)
    try:
        found = sorted(log_files(log))
    except OSError as error:
        raise unreadable(str(log), error) from error
    return open_sources(str(path) for path in (found or [log]))
