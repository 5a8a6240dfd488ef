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
from typing import Any, NamedTuple

from auditctl.errors import UsageError
from auditctl.kubeadm.clusterconfiguration import Argument, ExtraVolume
from auditctl.kubeadm.persist import Extras
from auditctl.kubeadm.sections import STEP, arguments_section, literal_block, volumes_section
from auditctl.manifest.mount_plan import VOLUME_NAMES, audit_paths
from auditctl.manifest.yaml_scalars import spelled
from auditctl.settings import LOG_FLAG, POLICY_FLAG

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


def render(form: RenderFormat, extras: Extras, version: tuple[int, int], policy_file: str = "") -> str:
    """Return the text for ``form``; ``version`` is that of the cluster's Kubernetes.

    ``policy_file`` is a file of this machine, which kind takes into its node.
    """
    match form:
        case RenderFormat.CLUSTER_CONFIGURATION:
            return _text(_configuration(extras, as_list=version >= FIRST_WITH_LISTS))
        case RenderFormat.PATCHES:
            return _patches(extras)
        case RenderFormat.KIND:
            return _text(_kind(extras, policy_file, as_list=version >= FIRST_KIND_WITH_LISTS))
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
    """Return a JSON patch, which appends; a strategic one would replace ``command`` (util/patches/patches.go)."""
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


def _kind(extras: Extras, policy_file: str, *, as_list: bool) -> list[str]:
    """Return a configuration for kind: what must be on the "host" is mounted into the node's container, too."""
    lines = ["kind: Cluster", "apiVersion: kind.x-k8s.io/v1alpha4", "nodes:", "- role: control-plane"]
    lines += ["  kubeadmConfigPatches:", "  - |", *_indented(_configuration(extras, as_list=as_list), "    ")]
    lines.append("  extraMounts:")
    for volume in extras.volumes:
        is_policy = volume.name == VOLUME_NAMES[POLICY_FLAG]
        here = (is_policy and policy_file) or "./" + posixpath.basename(volume.host_path)
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
{mount}      volumes:
      - name: node
        hostPath:
          path: /
{volume}"""
_CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: auditctl-policy
  namespace: kube-system
data:
"""
_POLICY_FOLDER = "/run/auditctl-policy"  # gone with the next start of the node
_MOUNT = f"""\
        - name: policy
          mountPath: /host{_POLICY_FOLDER} # {_POLICY_FOLDER} for the program, whose root is the node's
"""
_VOLUME = """\
      - name: policy
        configMap:
          name: auditctl-policy
"""


class JobPolicy(NamedTuple):
    """The policy that a Job switches on: the name of a shipped one, or the text of a file, which goes along."""

    name: str = ""
    text: str = ""


def job(image: str | None, node: str, flags: Mapping[str, str], policy: JobPolicy = JobPolicy()) -> str:  # noqa: B008
    """Return the Job. Without ``image`` a placeholder stands there, which no kubelet can pull.

    A policy of a file lies in a ConfigMap beside it.

    Raises:
        UsageError: the image is not pinned by its digest.
    """
    if image is not None and not _PINNED.fullmatch(image):
        raise UsageError(f"--image {image}: not pinned; it runs as root on the node, so use NAME@sha256:DIGEST")
    words = ["--on-host", "/host", "enable"]
    if policy.name or policy.text:
        words += ["--policy", policy.name or f"{_POLICY_FOLDER}/policy.yaml"]
    for name, value in flags.items():
        words += ["--set", f"{name}={value}"]
    fields = {"node": node, "image": image or NO_IMAGE, "arguments": words}
    text = _TEXT.format(
        **{name: json.dumps(value) for name, value in fields.items()},
        mount=_MOUNT if policy.text else "",
        volume=_VOLUME if policy.text else "",
    )
    if not policy.text:
        return text
    return f"{_CONFIG_MAP}{_text(literal_block('policy.yaml', policy.text, 2))}---\n{text}"
