"""The audit settings of a node for places without a manifest to edit: a ClusterConfiguration, a patch, a kind cluster.

Pure text. kind emits kubeadm's map dialect for nodes before 1.36 and the list dialect from 1.36 on
(``pkg/cluster/internal/kubeadm/config.go`` Config), and applies only patches of its own dialect.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

from auditctl.errors import UsageError
from auditctl.kubeadm.clusterconfiguration import Argument, ExtraVolume
from auditctl.kubeadm.persist import Extras
from auditctl.kubeadm.sections import STEP, arguments_section, volumes_section
from auditctl.manifest.mount_plan import VOLUME_NAMES, audit_paths
from auditctl.manifest.yaml_scalars import spelled
from auditctl.settings import LOG_FLAG

FIRST_WITH_LISTS = (1, 31)  # v1beta4 (kubeadm 1.31)
FIRST_KIND_WITH_LISTS = (1, 36)


class RenderFormat(Enum):
    """What can be rendered; the values are those of ``--as``."""

    CLUSTER_CONFIGURATION = "cluster-configuration"
    PATCHES = "patches"
    KIND = "kind"
    JOB = "job"


def extras_for(flags: Mapping[str, str]) -> Extras:
    """Return the arguments of ``flags`` (audit flags by name) and the volumes that carry their files, as ``enable`` makes them."""
    arguments = tuple(Argument(name, value) for name, value in sorted(flags.items()))
    volumes: dict[str, ExtraVolume] = {}
    for flag, path in audit_paths(flags).items():
        name = VOLUME_NAMES[flag]
        if flag == LOG_FLAG:
            directory = posixpath.dirname(path)
            volumes[name] = ExtraVolume(name, directory, directory, path_type="DirectoryOrCreate")
        else:
            volumes[name] = ExtraVolume(name, path, path, read_only=True, path_type="File")
    return Extras(arguments, tuple(sorted(volumes.values())))


def render(form: RenderFormat, extras: Extras, version: tuple[int, int]) -> str:
    """Return the text for ``form``; ``version`` is that of the cluster's Kubernetes."""
    match form:
        case RenderFormat.CLUSTER_CONFIGURATION:
            return _text(_configuration(extras, as_list=version >= FIRST_WITH_LISTS))
        case RenderFormat.PATCHES:
            return _patches(extras)
        case RenderFormat.KIND:
            return _text(_kind(extras, as_list=version >= FIRST_KIND_WITH_LISTS))
        case RenderFormat.JOB:
            raise ValueError("a Job is made of a command line, not of extras")  # job.py


def _text(lines: list[str]) -> str:
    return "".join(line + "\n" for line in lines)


def _configuration(extras: Extras, *, as_list: bool) -> list[str]:
    lines = [f"apiVersion: kubeadm.k8s.io/{'v1beta4' if as_list else 'v1beta3'}", "kind: ClusterConfiguration"]
    lines += ["apiServer:", *_indented(arguments_section(extras.arguments, as_list=as_list)[1])]
    if extras.volumes:
        lines += _indented(volumes_section(extras.volumes)[1])
    return lines


def _indented(lines: list[str], by: str = STEP) -> list[str]:
    return [by + line for line in lines]


def _patches(extras: Extras) -> str:
    """A JSON patch appends; a strategic one would replace the whole ``command`` (``util/patches/patches.go``)."""
    operations: list[dict[str, Any]] = [
        {"op": "add", "path": "/spec/containers/0/command/-", "value": f"--{argument.name}={argument.value}"}
        for argument in extras.arguments
    ]
    for volume in extras.volumes:
        mount: dict[str, Any] = {"mountPath": volume.mount_path, "name": volume.name}
        if volume.read_only:
            mount["readOnly"] = True
        source = {"path": volume.host_path, "type": volume.path_type}
        operations.append({"op": "add", "path": "/spec/containers/0/volumeMounts/-", "value": mount})
        operations.append({"op": "add", "path": "/spec/volumes/-", "value": {"hostPath": source, "name": volume.name}})
    return "[\n" + ",\n".join(f"  {json.dumps(one)}" for one in operations) + "\n]\n"


def _kind(extras: Extras, *, as_list: bool) -> list[str]:
    """Inside kind's node the "host" is the node's container: what is to be there is mounted into it as well."""
    lines = ["kind: Cluster", "apiVersion: kind.x-k8s.io/v1alpha4", "nodes:", "- role: control-plane"]
    lines += ["  kubeadmConfigPatches:", "  - |", *_indented(_configuration(extras, as_list=as_list), "    ")]
    lines.append("  extraMounts:")
    for volume in extras.volumes:
        here = "./" + posixpath.basename(volume.host_path)
        lines += [f"  - hostPath: {spelled(here)} # of this machine", f"    containerPath: {spelled(volume.host_path)}"]
        if volume.read_only:
            lines.append("    readOnly: true")
    return lines


NO_IMAGE = "REGISTRY/auditctl@sha256:DIGEST"
_PINNED = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")
_TEXT = """\
# kubectl apply -f FILE && kubectl -n kube-system wait --for=condition=complete --timeout=10m job/auditctl-enable
# kubectl -n kube-system logs job/auditctl-enable
apiVersion: batch/v1
kind: Job
metadata:
  name: auditctl-enable
  namespace: kube-system
spec:
  backoffLimit: 0 # what failed was undone: see the log first
  template:
    spec:
      nodeName: {node} # one control plane at a time
      restartPolicy: Never
      priorityClassName: system-node-critical
      tolerations:
      - operator: Exists
      hostPID: true # the API server's process, and systemd, which keeps the watchdog
      hostNetwork: true # the API server's own address, also while kube-proxy has none
      automountServiceAccountToken: false # /etc/kubernetes/admin.conf of the node is used
      containers:
      - name: auditctl
        image: {image}
        args: {arguments}
        securityContext:
          privileged: true # it changes its root to the node's
        volumeMounts:
        - name: node
          mountPath: /host
      volumes:
      - name: node
        hostPath:
          path: /
"""


def job(image: str | None, node: str, flags: Mapping[str, str]) -> str:
    """Return the Job. Without ``image`` a placeholder stands there, which no kubelet can pull.

    Raises:
        UsageError: the image is not pinned by its digest.
    """
    if image is not None and not _PINNED.fullmatch(image):
        raise UsageError(f"--image {image}: not pinned; it runs as root on the node, so name it NAME@sha256:DIGEST")
    words = ["--on-host", "/host", "enable"]
    for name, value in flags.items():
        words += ["--set", f"{name}={value}"]
    return _TEXT.format(node=json.dumps(node), image=json.dumps(image or NO_IMAGE), arguments=json.dumps(words))
