"""``log shipper``: the configuration with which a log shipper sends the node's audit log, from the flags of the API server.

The server rotates by renaming (``audit.log`` to ``audit-TIME.log``), later compresses and removes; a shipper must follow
the renamed file and never read it again. A line is an event: it is as long as ``--audit-log-truncate-max-event-size``
allows where truncation is on, and else nothing but the size of a file limits it (lumberjack v2.2.1, Write).
"""

from __future__ import annotations

import json
import platform
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from auditctl import facts
from auditctl.errors import RefusedError, UsageError
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.process import Process
from auditctl.operations import flags, policy_source
from auditctl.operations.answer import CommandResult
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence.node_state import read_state
from auditctl.operations.log_sources import node_log
from auditctl.settings import LOG_PATH

_MEGABYTE = 1 << 20
_DEFAULT_MEGABYTES = 100
_ROOM_BYTES = 1 << 16
"""A truncated event keeps its metadata and says so in an annotation: it may be a little longer than the limit."""
_SAFE_PATH = re.compile(r"/[A-Za-z0-9._/+@=, -]*")
_SAFE_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SAFE_URL = re.compile(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9._~:/%\[\]-]+")
_PORTS = {"http": 80, "https": 443, "tcp": 514}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedLog:
    """What a shipper must know of the log. ``is_running``: the flags are those of the running process."""

    path: Path
    line_bytes: int
    is_truncated: bool
    is_running: bool
    rotates: bool
    mode: int | None

    @property
    def rotated(self) -> str:
        """Return the glob of the rotated files that are not compressed (lumberjack v2.2.1, backupName)."""
        extension = self.path.suffix if not self.path.name.startswith(".") else ""
        stem = self.path.name.removesuffix(extension)
        return f"{self.path.parent}/{stem}-[0-9][0-9][0-9][0-9]-*{extension}"


def programs() -> Mapping[str, Mapping[str, str]]:
    """Return the shippers that there are templates for, each with its facts."""
    result: Mapping[str, Mapping[str, str]] = json.loads(
        facts.template("shippers", "programs.json").read_text(encoding="utf-8")
    )
    return result


def log_shipper(plane: ControlPlane, program: str, to: str | None, cluster: str) -> CommandResult:
    """Return the configuration of a shipper.

    Raises:
        UsageError: an unknown shipper, or a value that cannot be written into a configuration; RefusedError: the node's
        log cannot be shipped.
    """
    known = programs()
    if program not in known:
        raise UsageError(f"--as {program}: not one of {', '.join(known)}")
    row = known[program]
    destination = to or row["to"]
    if not _SAFE_URL.fullmatch(destination):
        raise UsageError(f"--to {destination}: not a URL without user and password (https://logs.example.org:9200)")
    if not _SAFE_WORD.fullmatch(cluster):
        raise UsageError(f"--cluster {cluster}: not a name of letters, digits, dots and dashes")
    log = _shipped_log(plane)
    values = _values(log, destination, cluster, platform.node())
    text = facts.template("shippers", row["file"]).read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    heading = "".join(f"{row['comment']} {line}\n" for line in _heading(program, row, log))
    notes = () if to else (f"The destination is an example: {destination}; specify yours with --to.",)
    return CommandResult(
        document={"program": program, "installs": row["installs"], "values": values, "configuration": heading + text},
        summary=(heading + text).rstrip("\n"),
        notes=notes,
    )


def _shipped_log(plane: ControlPlane) -> ShippedLog:
    _, manifest = plane.read_manifest()
    host = node_log(plane)
    path = Path(plane.root.node(host))
    if not _SAFE_PATH.fullmatch(str(path)):
        text = f"{path}: a character of this path means something else in the configuration of a shipper"
        raise RefusedError(text, check="log-path", fix=f"auditctl enable --log-path {LOG_PATH}")
    process = read_state(plane).evidence.process
    values = _flag_values(plane, manifest, process)
    if values.get("audit-log-format", "json") != "json":
        text = "--audit-log-format=legacy: shippers read the events as JSON"
        raise RefusedError(text, check="log-format", fix="auditctl enable --unset audit-log-format")
    megabytes = _number(values.get("audit-log-maxsize"), _DEFAULT_MEGABYTES)
    is_truncated = values.get("audit-log-truncate-enabled", "false").lower() in ("true", "t", "1")
    most = _number(values.get("audit-log-truncate-max-event-size"), 102400) + _ROOM_BYTES
    mode = None
    with suppress(OSError):
        mode = stat.S_IMODE(host.stat().st_mode)
    return ShippedLog(
        path=path,
        line_bytes=most if is_truncated else (megabytes or _DEFAULT_MEGABYTES) * _MEGABYTE,
        is_truncated=is_truncated,
        is_running=process is not None,
        rotates=bool(megabytes),
        mode=mode,
    )


def _flag_values(plane: ControlPlane, manifest: Manifest, process: Process | None) -> Mapping[str, str]:
    """Return the flags in effect: the running process' own where it is known, else the manifest's."""
    version = policy_source.version_of(plane, manifest, live=False)
    values = {name: str(row["value"]) for name, row in flags.effective(manifest, version).items()}
    for flag in process.flags if process is not None else ():
        name, equals, value = flag.lstrip("-").partition("=")
        if name in values:
            values[name] = value if equals else "true"
    return values


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isdigit() else otherwise


def _values(log: ShippedLog, destination: str, cluster: str, node: str) -> dict[str, str]:
    url = urlsplit(destination)
    try:
        port = url.port or _PORTS.get(url.scheme, 80)
    except ValueError as error:
        raise UsageError(f"--to {destination}: {error}") from error
    return {
        "LOG": str(log.path),
        "ROTATED": log.rotated,
        "COMPRESSED": f"{log.path.parent}/*.gz",
        "LINE_BYTES": str(log.line_bytes),
        "CLUSTER": cluster,
        "NODE": re.sub(r"[^A-Za-z0-9._-]", "-", node) or "node",
        "TO": destination,
        "HOST": url.hostname or "",
        "PORT": str(port),
        "TLS": "true" if url.scheme == "https" else "false",
    }


def _heading(program: str, row: Mapping[str, str], log: ShippedLog) -> Iterator[str]:
    yield f"Sends the Kubernetes audit log {log.path}; for {program}, as {row['installs']}."
    yield f"Made by auditctl from the flags of {'the running API server' if log.is_running else 'the manifest (no API server was seen)'}."
    if log.is_truncated:
        yield f"Longest line: {log.line_bytes} bytes, from --audit-log-truncate-max-event-size."
    else:
        yield f"Longest line: {log.line_bytes} bytes, the size of a file; --audit-log-truncate-enabled would limit it."
    yield "The log is never rotated." if not log.rotates else f"Rotated files: {log.rotated}"
    if log.mode is None or not log.mode & stat.S_IROTH:
        shown = "is readable by root alone" if log.mode is None else f"has mode {log.mode:04o}"
        yield f"The log {shown}: auditctl enable --readers {row['group']} lets that group read it and its directory."
    yield "Key of an event: auditID and stage; a destination that has the key already keeps one copy."
