"""Which logs a command reads: those it names, else the node's own with its rotated files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.log.segments import LogSegment, opened_file
from auditctl.log.sources import LogSource, close, open_sources, pieces, unreadable, whole_pieces
from auditctl.log.tally import Tally
from auditctl.log.tally_file import read_tally
from auditctl.node.logfiles import log_files
from auditctl.node.preflight import node_checks
from auditctl.operations.controlplane import ControlPlane
from auditctl.settings import LOG_FLAG, POLICY_FLAG, STANDARD_OUTPUT


def node_log(plane: ControlPlane) -> Path:
    """Return where the node's manifest says that the log is on this machine.

    Raises:
        RefusedError: there is no manifest, or it writes no log to a file.
    """
    _, manifest = plane.read_manifest()
    result = node_checks.host_of(plane.root, manifest, LOG_FLAG)
    if result is None:
        value = manifest.flag(LOG_FLAG)
        reason = (
            "writes it to standard output" if value == STANDARD_OUTPUT else "writes no log to a file of this machine"
        )
        raise RefusedError(
            f"{plane.manifest_path}: the API server {reason}", check="log-missing", fix="specify one with --log"
        )
    return result


def node_policy(plane: ControlPlane, logs: Sequence[str]) -> str | None:
    """Return the policy of the node whose own log is read; None where ``logs`` are named, or it cannot be found."""
    if logs:
        return None
    with suppress(RefusedError):
        host = node_checks.host_of(plane.root, plane.read_manifest()[1], POLICY_FLAG)
        return str(host) if host is not None and host.is_file() else None
    return None


class LoadedTally(NamedTuple):
    """A tally under the name of its file."""

    name: str
    tally: Tally


class LogInput(NamedTuple):
    """What a command that counts reads: the pieces of the logs, and the tallies."""

    pieces: list[LogSegment]
    tallies: tuple[LoadedTally, ...]


@contextmanager
def log_input(plane: ControlPlane, logs: Sequence[str]) -> Iterator[LogInput]:
    """Yield the logs, open, and the tallies among them. None named: the node's own log and its rotated files.

    Raises:
        RefusedError: one is missing or cannot be read.
    """
    sources = _opened(plane, logs)
    try:
        tallies = [source for source in sources if source.is_tally]
        yield LogInput(pieces([source for source in sources if not source.is_tally]), tuple(map(_loaded, tallies)))
    finally:
        close(sources)


def _loaded(source: LogSource) -> LoadedTally:
    with opened_file(whole_pieces([source])[0]) as file:
        return LoadedTally(source.name, read_tally(source.name, file))


def opened(plane: ControlPlane, logs: Sequence[str]) -> list[LogSource]:
    """Return the logs in time order, open. None named: the node's own and its rotated files.

    Raises:
        RefusedError: one is missing or cannot be read, or is a tally.
    """
    sources = _opened(plane, logs)
    tally = next((source.name for source in sources if source.is_tally), None)
    if tally is not None:
        close(sources)
        raise RefusedError(
            f"{tally}: it is a tally: it has counts, and no events", check="log-tally", fix="name the log itself"
        )
    return sources


def _opened(plane: ControlPlane, logs: Sequence[str]) -> list[LogSource]:
    if logs:
        return open_sources(logs)
    log = node_log(plane)
    if log.exists() and not log.is_file():
        raise RefusedError(f"{log}: the log is not a regular file", check="log-missing", fix=f"ls -l {log}")
    try:
        result = sorted(log_files(log))
    except OSError as error:
        raise unreadable(str(log), error) from error
    return open_sources(str(path) for path in (result or [log]))
