"""The standby's static Pod in the manifest directory: put there by one rename, and everything of it taken out again.

Its file is the one exception to the rule that nothing but the manifest ever appears there: its name is fixed, so that any
later run knows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from auditctl.compatibility import UTC
from auditctl.errors import RefusedError
from auditctl.manifest.pod import Manifest
from auditctl.manifest.standby import STANDBY_ANNOTATION, STANDBY_LOG_SUFFIX, STANDBY_NAME, rotated_name
from auditctl.node.apiserver.process import Process, apiservers, port_is_taken
from auditctl.node.change import files
from auditctl.node.change.files import Root
from auditctl.node.clock import Clock
from auditctl.node.standby import redirect
from auditctl.node.trusted_process import owner_of
from auditctl.settings import LOG_FLAG

STANDBY_FILE = f"{STANDBY_NAME}.yaml"
_PORTS_TRIED = 100
_POLL_SECONDS = 0.1
_NO_ENDPOINTS = "--endpoint-reconciler-type=none"


def path_of(manifest_path: Path) -> Path:
    """Return where the standby's manifest stands, beside the API server's."""
    return manifest_path.with_name(STANDBY_FILE)


def free_port(port: int) -> int | None:
    """Return the first port above the API server's that nobody listens on; None where there is none near."""
    candidates = range(port + 1, min(port + 1 + _PORTS_TRIED, 65536))
    return next((candidate for candidate in candidates if not port_is_taken(candidate)), None)


def place(manifest_path: Path, text: str) -> None:
    """Put the standby's manifest in place. Raises OSError, and RefusedError where a file of that name is not ours."""
    path = path_of(manifest_path)
    if path.exists() and not is_ours(path):
        raise RefusedError(f"{path}: a file that auditctl has not written", check="no-downtime", fix="move it away")
    files.replace_file(path, text.encode(), None, expected=None if path.exists() else files.ABSENT)


def is_ours(path: Path) -> bool:
    """Tell whether a standby's manifest was written by auditctl."""
    with suppress(RefusedError):
        return STANDBY_ANNOTATION.encode() in files.read(path, "manifest").content
    return False


def any_process() -> Process | None:
    """Return the process of a standby, whichever port it has: no other server has a log of such a name."""
    return next((process for process in apiservers() if _has_standby_log(process.flags)), None)


def _has_standby_log(flags: Sequence[str]) -> bool:
    return any(flag.startswith(f"--{LOG_FLAG}=") and flag.endswith(STANDBY_LOG_SUFFIX) for flag in flags)


def process_of(manifest: Manifest, clock: Clock, seconds: float = 0.0) -> Process | None:
    """Return the process of a standby's manifest, which need not listen yet; wait up to ``seconds`` for one that is being started."""
    flags, owner = {_NO_ENDPOINTS, f"--secure-port={manifest.secure_port}"}, owner_of(manifest)
    deadline = clock.monotonic() + seconds
    while True:
        process = next((process for process in apiservers(owner) if flags <= set(process.flags)), None)
        if process is not None or clock.monotonic() >= deadline:
            return process
        clock.sleep(_POLL_SECONDS)


def remains(root: Root, manifest_path: Path) -> bool:
    """Tell whether anything of a standby is left: its manifest or a redirect."""
    return is_ours(path_of(manifest_path)) or (root.is_host and redirect.tables_left())


def remove(manifest_path: Path) -> None:
    """Take the standby's manifest out, so that the kubelet ends its Pod; raises nothing."""
    path = path_of(manifest_path)
    with suppress(OSError):
        if is_ours(path):
            files.remove(path)


def settle_log(standby_log: Path, clock: Clock) -> Path | None:
    """Give the log of a standby that has ended the name of a rotated file; return it, None where there is no such log.

    Readers of the log, and the server's own rotation, take it for one from then on.
    """
    log, newest = standby_log.with_name(standby_log.name.removesuffix(STANDBY_LOG_SUFFIX)), None
    for path in sorted(log.parent.glob(f"{log.name}*{STANDBY_LOG_SUFFIX}")):
        newest = log.with_name(rotated_name(log.name, _stamp(clock.utc())))
        while newest.exists():
            clock.sleep(0.002)
            newest = log.with_name(rotated_name(log.name, _stamp(clock.utc())))
        with suppress(OSError):
            path.rename(newest)
    return newest


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%S.%f")[:-3]
