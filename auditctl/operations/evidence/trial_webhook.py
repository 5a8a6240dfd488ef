"""The webhook's file of a trial start: its references, read here, because the trial's own user may read none of them."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator
from typing import Any

from auditctl.errors import ManifestError, RefusedError
from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest
from auditctl.node.change import files
from auditctl.operations.controlplane import ControlPlane
from auditctl.settings import WEBHOOK_FLAG

_REFERENCES = {
    ("clusters", "cluster"): ("certificate-authority",),
    ("users", "user"): ("client-certificate", "client-key", "tokenFile"),
}
NOWHERE = "/nonexistent"  # what no mount brings into the container must not be found on the host either


def _content(plane: ControlPlane, after: Manifest, path: str) -> tuple[str, bytes | None]:
    """Return a path on this machine and what stands there, None where that cannot be read. Raises ManifestError."""
    place = after.host_path(path)
    host = plane.root.followed(place.path) if place is not None else None
    try:
        return str(host), files.read(host.resolve(), "file").content if host is not None else None
    except (RefusedError, OSError, RuntimeError):  # pathlib raises the last for links in a circle
        return str(host), None


def on_host(plane: ControlPlane, after: Manifest, raw: bytes) -> tuple[bytes, dict[str, str], dict[str, bytes]]:
    """Return the webhook's file with the paths of this machine, how to read them back, and what stands there.

    One that we cannot read is left as it is: the server has its own words for that.
    """
    value = _plain(raw)
    base = posixpath.dirname(after.flag(WEBHOOK_FLAG) or "/")
    names, contents = dict[str, str](), dict[str, bytes]()
    for (group, kind), keys in _REFERENCES.items():
        for entry in _entries(value.get(group), kind):
            for key in keys:
                if isinstance(entry.get(key), str) and entry[key]:
                    path = posixpath.join(base, entry[key])  # a relative one is relative to the file
                    host, content = _content(plane, after, path)
                    entry[key] = host if content is not None else f"{NOWHERE}{path}"
                    names[entry[key]] = path
                    if content is not None:
                        contents[host] = content
    return (json.dumps(value).encode(), names, contents) if names else (raw, names, contents)


def _plain(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw) if raw.lstrip().startswith(b"{") else Document.parse(raw, "the webhook's file").value
    except (ValueError, ManifestError):
        return {}
    return value if isinstance(value, dict) else {}


def _entries(listed: object, kind: str) -> Iterator[dict[str, Any]]:
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get(kind), dict):
            yield entry[kind]
