"""What of a ClusterConfiguration would end the API server, or keep the kubelet from starting it. Pure.

kubeadm writes ``--NAME=VALUE`` for an extra argument without looking at either (cmd/kubeadm/app/util/arguments.go
ArgumentsToCommand), and one mount for each extra volume (cmd/kubeadm/app/phases/controlplane/volumes.go).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from auditctl.errors import Place
from auditctl.findings import Severity
from auditctl.kubeadm.clusterconfiguration import EXTRA_ARGS, EXTRA_VOLUMES, ClusterConfiguration
from auditctl.manifest import fields
from auditctl.manifest.flag_values import complaints
from auditctl.manifest.flags import AUDIT, normalised


class RecordFault(NamedTuple):
    """One fault: ``name`` is the flag or volume as differences call it (``--audit-log-maxage``)."""

    name: str
    message: str
    fix: str
    place: Place


def faults(configuration: ClusterConfiguration, version: tuple[int, int]) -> Iterator[RecordFault]:
    """Yield each audit argument that a server of ``version`` refuses, and each volume that a Pod cannot have."""
    yield from _argument_faults(configuration, version)
    yield from _volume_faults(configuration)


def _argument_faults(configuration: ClusterConfiguration, version: tuple[int, int]) -> Iterator[RecordFault]:
    given: dict[str, str] = {}
    for argument in configuration.arguments:
        place = configuration.document.place((*EXTRA_ARGS, argument.step))
        plain = normalised(argument.name)
        if argument.name.startswith("-") and plain.startswith(AUDIT):
            message = f"the extra argument {argument.name!r} has dashes of its own, so kubeadm writes --{argument.name}={argument.value}"
            yield RecordFault(f"--{argument.name}", message, f"write {plain!r}", place)
        elif argument.is_audit:
            given[plain] = argument.value
    steps = {normalised(argument.name): argument for argument in configuration.arguments if argument.is_audit}
    for finding in complaints(given, version, given):
        if finding.severity is Severity.ERROR:
            argument = steps[finding.path.removeprefix("--")]
            place = configuration.document.place((*EXTRA_ARGS, argument.step))
            yield RecordFault(f"--{argument.name}", finding.message, finding.fix, place)


def _volume_faults(configuration: ClusterConfiguration) -> Iterator[RecordFault]:
    """A name or a mountPath that is there twice is refused (pkg/apis/core/validation/validation.go)."""
    names: dict[str, str] = {}
    paths: dict[str, str] = {}
    for index, volume in enumerate(configuration.volumes):
        place = configuration.document.place((*EXTRA_VOLUMES, index))
        label = f"volume {volume.name}"
        if volume.name in names:
            yield RecordFault(
                label, f"{fields.written((*EXTRA_VOLUMES, index))}: a volume {volume.name} is there already", "", place
            )
        if volume.mount_path in paths:
            message = f"volume {volume.name} is mounted at {volume.mount_path}, as volume {paths[volume.mount_path]} is"
            yield RecordFault(label, message, "", place)
        names.setdefault(volume.name, volume.mount_path)
        paths.setdefault(volume.mount_path, volume.name)
