"""The audit settings of a node for tools that own their machines: Cluster API, Talos, RKE2, k3s, kubespray, minikube, kOps.

Pure text. Each form begins with one comment: the trap of that tool. A form that carries the policy itself holds it so that
`embedded.embedded_policies` finds it again. What a tool cannot be told is refused, never left out without a word.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.kubeadm.persist import Extras
from auditctl.kubeadm.sections import arguments_section, literal_block, volumes_section
from auditctl.manifest.yaml_scalars import spelled
from auditctl.policy.rule_yaml import rule_lines
from auditctl.policy.types import Policy, Stage
from auditctl.settings import LOG_FLAG, POLICY_FLAG, WEBHOOK_FLAG

_ROTATION = ("audit-log-maxage", "audit-log-maxbackup", "audit-log-maxsize")
# the fields of kOps' KubeAPIServerConfig (`pkg/apis/kops/componentconfig.go`)
_KOPS_FIELDS = {
    POLICY_FLAG: "auditPolicyFile",
    LOG_FLAG: "auditLogPath",
    "audit-log-maxage": "auditLogMaxAge",
    "audit-log-maxbackup": "auditLogMaxBackups",
    "audit-log-maxsize": "auditLogMaxSize",
}
# as the defaults of kubespray's role kubernetes/control-plane name them (`defaults/main/main.yml`)
_KUBESPRAY_VARIABLES = {
    POLICY_FLAG: "audit_policy_file",
    LOG_FLAG: "audit_log_path",
    "audit-log-maxage": "audit_log_maxage",
    "audit-log-maxbackup": "audit_log_maxbackups",
    "audit-log-maxsize": "audit_log_maxsize",
}


class PolicyForTool(NamedTuple):
    """The policy that goes along: its text for tools that carry a file, its rules for those that carry rules."""

    text: str
    policy: Policy


Lines = list[str]


def render_tool(form: str, extras: Extras, policy: PolicyForTool) -> str:
    """Return the text for a tool of ``TOOLS``.

    Raises:
        RefusedError: the settings hold what the tool cannot be told.
    """
    return "".join(f"{line}\n" for line in TOOLS[form](extras, policy))


def policy_place(extras: Extras) -> str:
    """Return the node's path of the policy; empty where no flag names one."""
    path = _flags(extras).get(POLICY_FLAG, "")
    return next((each.host_path for each in extras.volumes if each.mount_path == path), path)


def _flags(extras: Extras) -> dict[str, str]:
    return {argument.name: argument.value for argument in extras.arguments}


def _refuse(tool: str, names: Iterable[str]) -> None:
    for name in names:
        raise RefusedError(
            f"{tool}: there is no way to carry --{name}", check="render", fix=f"leave it out, and set --{name} by hand"
        )


def _indented(lines: Iterable[str], by: int) -> Lines:
    return [" " * by + line if line else "" for line in lines]


def _kubeadm_control_plane(extras: Extras, policy: PolicyForTool) -> Lines:
    flags = _flags(extras)
    _refuse("a KubeadmControlPlane", [WEBHOOK_FLAG] if WEBHOOK_FLAG in flags else [])
    lines = [
        "# Trap: a change of this object replaces every control-plane machine, one after the other; a wrong policy stops at the first.",
        "apiVersion: controlplane.cluster.x-k8s.io/v1beta2",
        "kind: KubeadmControlPlane",
        "spec:",
        "  kubeadmConfigSpec:",
        "    clusterConfiguration:",
        "      apiServer:",
        *_indented(arguments_section(extras.arguments, as_list=True)[1], 8),
    ]
    if extras.volumes:
        lines += _indented(volumes_section(extras.volumes)[1], 8)
    if POLICY_FLAG in flags:
        lines += [
            "    files:",
            f"    - path: {spelled(policy_place(extras))}",
            "      owner: root:root",
            '      permissions: "0600"',
        ]
        lines += literal_block("content", policy.text, 6)
    return lines


def _talos(extras: Extras, policy: PolicyForTool) -> Lines:
    flags = _flags(extras)
    _refuse("Talos", [WEBHOOK_FLAG] if WEBHOOK_FLAG in flags else [])
    kept = {name: value for name, value in sorted(flags.items()) if name not in (POLICY_FLAG, LOG_FLAG)}
    body = [line for line in policy.text.rstrip("\n").split("\n") if line.rstrip() != "---"]
    return [
        "# Trap: from Talos 1.14 on the policy is `configuration` of a KubeAuditPolicyConfig instead; the log is always /var/log/audit/kube/kube-apiserver.log.",
        "cluster:",
        "  apiServer:",
        *(["    extraArgs:", *(f"      {name}: {_text(value)}" for name, value in kept.items())] if kept else []),
        "    auditPolicy:",
        *_indented(body, 6),
    ]


def _text(value: str) -> str:
    """Return a value that every reader takes for a string, numbers included."""
    return f'"{value}"' if value.isdecimal() or value in ("true", "false") else spelled(value)


def _number(value: str) -> str:
    """Return a value for fields that are numbers where it is one."""
    return value if value.isdecimal() else spelled(value)


def _rke2(extras: Extras, policy: PolicyForTool) -> Lines:  # noqa: ARG001 (the shape of a form)
    flags = _flags(extras)
    lines = [
        "# Trap: RKE2 writes a policy of level None of its own; yours, and the log's directory, must be on every server node before the restart."
    ]
    if POLICY_FLAG in flags:
        lines.append(f"audit-policy-file: {spelled(flags[POLICY_FLAG])}")
    lines += _arguments({name: value for name, value in flags.items() if name != POLICY_FLAG})
    mounts = [each for each in extras.volumes if each.mount_path != flags.get(POLICY_FLAG)]
    if mounts:
        lines.append("kube-apiserver-extra-mount:")
        lines += (f"- {spelled(f'{each.host_path}:{each.mount_path}' + ':ro' * each.read_only)}" for each in mounts)
    return lines


def _k3s(extras: Extras, policy: PolicyForTool) -> Lines:  # noqa: ARG001 (the shape of a form)
    return [
        "# Trap: the API server is a part of the k3s process: with a policy that it refuses, the whole node does not start; paths are those of the host.",
        *_arguments(_flags(extras)),
    ]


def _arguments(flags: Mapping[str, str]) -> Lines:
    return ["kube-apiserver-arg:", *(f"- {spelled(f'{name}={value}')}" for name, value in sorted(flags.items()))]


def _kubespray(extras: Extras, policy: PolicyForTool) -> Lines:
    flags = _flags(extras)
    _refuse("kubespray", [WEBHOOK_FLAG] if WEBHOOK_FLAG in flags else [])
    lines = [
        "# Trap: on a cluster that is there already these take effect only with `-e upgrade_cluster_setup=true`; kubespray replaces its rules by these.",
        "kubernetes_audit: true",
    ]
    lines += (f"{variable}: {_number(flags[flag])}" for flag, variable in _KUBESPRAY_VARIABLES.items() if flag in flags)
    log = flags.get(LOG_FLAG, "")
    if log.startswith("/"):
        lines.append(f"audit_log_hostpath: {spelled(posixpath.dirname(log))}")
    others = {name: value for name, value in sorted(flags.items()) if name not in _KUBESPRAY_VARIABLES}
    if others:
        lines += [
            "kube_kubeadm_apiserver_extra_args:",
            *(f"  {name}: {_text(value)}" for name, value in others.items()),
        ]
    return [*lines, "audit_policy_custom_rules: |", *_indented(_all_rules(policy.policy), 2)]


def _all_rules(policy: Policy) -> Lines:
    """Return the rules with what the policy says for all of them: kubespray's template has no place for it."""
    omitted = policy.omit_stages
    rules = (
        replace(
            rule,
            omit_stages=tuple(stage for stage in Stage if stage in (*omitted, *rule.omit_stages)),
            omit_managed_fields=rule.omit_managed_fields
            if rule.omit_managed_fields is not None or not policy.omit_managed_fields
            else True,
        )
        for rule in policy.rules
    )
    return [line for rule in rules for line in rule_lines(rule)]


def _minikube(extras: Extras, policy: PolicyForTool) -> Lines:
    flags = _flags(extras)
    _refuse("minikube", [WEBHOOK_FLAG] if WEBHOOK_FLAG in flags else [])
    where = "/etc/ssl/certs/audit-policy.yaml"
    kept = {name: value for name, value in flags.items() if name not in (POLICY_FLAG, LOG_FLAG, *_ROTATION)}
    settings = {**({POLICY_FLAG: where} if POLICY_FLAG in flags else {}), LOG_FLAG: "-", **kept}
    end = "END_OF_POLICY"
    while end in policy.text:
        end += "_"
    return [
        "# Trap: minikube's API server sees /etc/ssl/certs of the node, read-only, and no other path: the log goes to `kubectl logs`.",
        'mkdir -p "$HOME/.minikube/files/etc/ssl/certs"',
        f"cat > \"$HOME/.minikube/files{where}\" <<'{end}'",
        *policy.text.rstrip("\n").split("\n"),
        end,
        "minikube start"
        + "".join(
            f" \\\n  {shlex.quote(f'--extra-config=apiserver.{name}={value}')}" for name, value in settings.items()
        ),
    ]


def _kops(extras: Extras, policy: PolicyForTool) -> Lines:
    flags = _flags(extras)
    _refuse("kOps", sorted(set(flags) - set(_KOPS_FIELDS)))
    lines = [
        "# Trap: it takes effect when `kops rolling-update cluster` replaces every control-plane machine; the role is Master before kOps 1.26.",
        "spec:",
        "  kubeAPIServer:",
        *(f"    {field}: {_number(flags[flag])}" for flag, field in _KOPS_FIELDS.items() if flag in flags),
    ]
    if POLICY_FLAG in flags:
        lines += ["  fileAssets:", "  - name: audit-policy", f"    path: {spelled(flags[POLICY_FLAG])}"]
        lines += ["    roles: [ControlPlane]", *literal_block("content", policy.text, 4)]
    return lines


TOOLS: Mapping[str, Callable[[Extras, PolicyForTool], Lines]] = {
    "kubeadmcontrolplane": _kubeadm_control_plane,
    "talos": _talos,
    "rke2": _rke2,
    "k3s": _k3s,
    "kubespray": _kubespray,
    "minikube": _minikube,
    "kops": _kops,
}
WITHOUT_POLICY = ("rke2", "k3s")
"""Tools that take the paths of files, and no file."""
