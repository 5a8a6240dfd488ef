"""What a trial start runs: the audit flags to be and the files that they name, with the paths of this machine."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from auditctl.errors import ManifestError, RefusedError
from auditctl.manifest.document import Document
from auditctl.manifest.flags import Flag
from auditctl.manifest.pod import HYPERKUBE, Manifest
from auditctl.node.apiserver import trial_binary
from auditctl.node.apiserver.process import Process
from auditctl.node.apiserver.trial_binary import Binary
from auditctl.node.apiserver.trial_start import TrialStartInput
from auditctl.node.change import files
from auditctl.node.preflight import node_checks
from auditctl.operations.controlplane import ControlPlane
from auditctl.settings import LOG_FLAG, POLICY_FLAG, STANDARD_OUTPUT, WEBHOOK_FLAG

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


_PATH_FLAGS = frozenset({POLICY_FLAG, LOG_FLAG, WEBHOOK_FLAG})
# without these it does not come as far as auditing; the keys are made for it
_KEY_FILES = frozenset({"service-account-key-file", "service-account-signing-key-file"})
_NEEDED = _KEY_FILES | {"service-account-issuer", "api-audiences", "advertise-address", "service-cluster-ip-range"}
_NEEDED_UP_TO_1_19 = "--insecure-port=0"  # its default is 8080, which the running server may hold
_KEY = "/throw-away.key"  # the name of the key in its words; what stands there is handed over in memory


class Subject(NamedTuple):
    """What is rehearsed, and how its user knows the files. ``policy`` None: the one that the manifest names."""

    after: Manifest
    policy: bytes | None = None
    webhook: bytes | None = None
    policy_name: str = ""


def trial_input(
    plane: ControlPlane, subject: Subject, process: Process, binary: Binary
) -> tuple[TrialStartInput, bytes | None]:
    """Return the command line and the files, with every path where this machine has it; and the policy's text.

    Raises:
        ManifestError: a path cannot be resolved; RefusedError: a file cannot be read.
    """
    after = subject.after
    words = list(_words(after, process))
    policy, webhook = subject.policy, subject.webhook
    if after.flag(POLICY_FLAG) and policy is None:
        policy = _installed(plane, after, POLICY_FLAG)
    if after.flag(WEBHOOK_FLAG) and webhook is None:
        webhook = _installed(plane, after, WEBHOOK_FLAG)
    names, contents = dict[str, str](), {_KEY: trial_binary.throw_away_key()}
    for flag, content in ((POLICY_FLAG, policy), (WEBHOOK_FLAG, webhook)):
        if after.flag(flag) and content is None:
            words.append(f"--{flag}={NOWHERE}{after.flag(flag)}")
            names[NOWHERE] = ""
    if not after.flag(WEBHOOK_FLAG):
        webhook = None
    elif webhook is not None:
        webhook, replaced, read = on_host(plane, after, webhook)
        names |= replaced
        contents |= read
    policy = policy if after.flag(POLICY_FLAG) else None
    webhook_path = after.flag(WEBHOOK_FLAG) or ""
    return TrialStartInput(
        binary=binary,
        words=tuple(words),
        policy=policy,
        webhook=webhook,
        names=names,
        webhook_name=webhook_path,
        contents=contents,
    ), policy


def _installed(plane: ControlPlane, after: Manifest, flag: str) -> bytes | None:
    host = node_checks.host_of(plane.root, after, flag)
    there = files.read_if_there(host, flag) if host is not None and not host.is_dir() else None
    return there.content if there is not None else None


def _words(after: Manifest, process: Process) -> Iterator[str]:
    """Yield the flags of the trial start: all of auditing's, and those without which the server ends earlier."""
    command = [PurePosixPath(word).name for word in process.argv[:2]]
    if HYPERKUBE in command[:1]:
        yield process.argv[1]
    if after.version is not None and after.version < (1, 20, 0):
        yield _NEEDED_UP_TO_1_19
    for flag in after.flag_list:
        if flag.name == LOG_FLAG and flag.value:
            yield f"--{LOG_FLAG}={STANDARD_OUTPUT}"
        elif (flag.is_audit and flag.name not in _PATH_FLAGS) or flag.name in _NEEDED:
            yield _word(flag, process)


def _word(flag: Flag, process: Process) -> str:
    if flag.name in _KEY_FILES:
        return f"--{flag.name}={_KEY}"
    if "$(" in flag.value:  # the kubelet has filled it in for the one that runs
        running = (word.partition("=") for word in process.flags)
        return next(
            (f"--{flag.name}={value}" for name, _, value in running if name == f"--{flag.name}"), flag.item.text
        )
    return f"--{flag.name}={flag.value}"
