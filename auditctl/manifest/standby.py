"""Make the manifest of a standby server from the manifest to be: a second static Pod that serves while the first restarts.

The same image, user, mounts and environment and the new settings, so that the kubelet runs it as it runs the first; what
would make two servers collide is different.
"""

from __future__ import annotations

import copy
import json
import posixpath
from collections.abc import Iterator
from typing import Any, NamedTuple

from auditctl.errors import ManifestError
from auditctl.manifest.pod import Manifest
from auditctl.settings import LOG_FLAG

STANDBY_NAME = "kube-apiserver-standby"
STANDBY_ANNOTATION = "auditctl/standby"  # its value is the time of its making
STANDBY_LOG_SUFFIX = ".standby"
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle")
# Endpoints of the `kubernetes` Service are the business of the first server (pkg/controlplane/reconcilers). Rotation by
# the standby itself must delete nothing: the flags without a limit keep all (lumberjack v2.2.1, MaxAge and MaxBackups 0).
_REPLACED = ("secure-port", "endpoint-reconciler-type", "audit-log-maxage", "audit-log-maxbackup", "audit-log-compress")


class StandbyPod(NamedTuple):
    """The text of the standby's manifest, its port, and where its audit log is in the container; None: it writes none."""

    text: str
    port: int
    log_path: str | None


def standby_log(path: str) -> str:
    """Return the name of the standby's log beside a log: one that the first server's rotation does not take for its own.

    (lumberjack v2.2.1, oldLogFiles: STEM-TIMESTAMP.EXT; what it takes for its own it compresses and deletes.)
    """
    return path + STANDBY_LOG_SUFFIX


def standby_pod(manifest: Manifest, port: int, mark: str) -> StandbyPod:
    """Return the standby of a manifest; ``mark`` is the value of its annotation.

    Raises:
        ManifestError: a Pod of which no second one can run beside it.
    """
    pod = copy.deepcopy(manifest.document.value)
    spec, place = pod["spec"], manifest.document.place(("spec",))
    if spec.get("hostNetwork") is not True:
        raise ManifestError(
            "the Pod is not in the host's network, so that no redirect reaches a second one", place=place
        )
    if len(spec["containers"]) != 1 or spec.get("initContainers"):
        raise ManifestError("the Pod has more containers than kube-apiserver's, which cannot run twice", place=place)
    log = manifest.flag(LOG_FLAG)
    log_path = standby_log(log) if log and log != "-" else None
    container = spec["containers"][0]
    container["name"] = STANDBY_NAME
    container["command"] = list(_command(manifest, port, log_path))
    # Requests would be counted against the node, and the kubelet would evict others for a critical Pod that does not fit
    # (pkg/kubelet/preemption). The ports are those of the first server; its probes ask there.
    for name in ("args", "ports", "resources", *_PROBES):
        container.pop(name, None)
    pod["metadata"] = {
        "name": STANDBY_NAME,
        "namespace": manifest.namespace,
        "labels": {"component": STANDBY_NAME, "tier": "control-plane"},
        "annotations": {STANDBY_ANNOTATION: mark},
    }
    return StandbyPod("\n".join(_lines(pod)) + "\n", port, log_path)


def _command(manifest: Manifest, port: int, log_path: str | None) -> Iterator[str]:
    """Yield the program and its flags, those replaced that would collide. A repeated flag's last value wins, as in pflag."""
    replaced = {*_REPLACED, LOG_FLAG} if log_path is not None else set(_REPLACED)
    yield from manifest.command[: manifest.program_words]
    skipped = {
        item.path
        for flag in manifest.flag_list
        if flag.name in replaced
        for item in (flag.item, flag.value_item)
        if item is not None
    }
    yield from (item.text for item in manifest.items[manifest.program_words :] if item.path not in skipped)
    yield f"--secure-port={port}"
    yield "--endpoint-reconciler-type=none"
    if log_path is not None:
        yield f"--{LOG_FLAG}={log_path}"


def rotated_name(log_name: str, stamp: str) -> str:
    """Return the name of a rotated file of the log, as the server itself gives it (lumberjack v2.2.1, backupName)."""
    stem, extension = posixpath.splitext(log_name)
    return f"{stem}-{stamp}{extension}"


def _lines(value: Any, indent: str = "") -> Iterator[str]:
    """Yield a value as YAML in block style, its scalars as JSON writes them, which is the same in YAML."""
    pairs: list[tuple[str, Any]]
    if isinstance(value, dict):
        pairs = [(f"{json.dumps(str(key))}:", each) for key, each in value.items()]
    else:
        pairs = [("-", each) for each in value]
    for start, each in pairs:
        if isinstance(each, dict | list) and each:
            yield indent + start
            yield from _lines(each, indent + "  ")
        else:
            is_plain = each is None or isinstance(each, dict | list | str | int | float | bool)
            yield f"{indent}{start} {json.dumps(each if is_plain else str(each))}"
