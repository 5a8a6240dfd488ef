#!/usr/bin/python
# Copyright: the auditctl authors
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later
# At your choice the Apache License 2.0, or the GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt),
# which is what Ansible's own modules carry.

"""Ansible's face of ``auditctl enable``, ``disable`` and ``restart``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: apiserver_audit
short_description: Switch API server auditing on, change it, prove it, take it out on a kubeadm control plane
version_added: 0.1.0
author:
  - The auditctl authors (@auditctl)
description:
  - Runs C(auditctl enable), C(disable) or C(restart) on the node. The manifest of the static Pod is edited in place, the kubelet
    restarts the API server, and one request is found in the audit log on the host before the task is said to be done.
  - A change that fails is undone; the API server is ready with the old configuration again, before the task fails. If the task, its connection or
    the controller dies meanwhile, a watchdog on the node confirms or undoes the change to the same deadline.
  - Options that are not given leave what the manifest sets as it is.
options:
  state:
    description:
      - V(present) converges to the given options, V(absent) takes auditing out, V(restarted) loads the policy that stands on the
        node's disk (and so changes something every time).
    type: str
    choices: [present, absent, restarted]
    default: present
  policy:
    description:
      - A policy file on the node, or the name of a policy that auditctl ships.
      - Without it and without O(policy_content), the policy of the node stays, else V(baseline) is installed.
    type: path
  policy_content:
    description:
      - The policy's text. It is read again with a lookup of V(ansible.builtin.file), say, for a file on the controller.
    type: str
  policy_name:
    description:
      - What messages call O(policy_content), for example the file on the controller that it was read from.
    type: str
  policy_path:
    description:
      - Where the API server finds the policy (a path in its container).
    type: path
  log:
    description:
      - V(false) takes the log backend out.
    type: bool
  log_path:
    description:
      - The audit log (a path in the container); V(-) is standard output.
    type: str
  log_maxage:
    description: Days to keep rotated files.
    type: int
  log_maxbackup:
    description: Rotated files to keep.
    type: int
  log_maxsize:
    description: Megabytes at which the log is rotated.
    type: int
  webhook:
    description:
      - V(false) takes the webhook backend out.
    type: bool
  webhook_config:
    description:
      - A kubeconfig file on the node that leads to a webhook receiver; it is installed for the API server.
    type: path
  webhook_config_content:
    description:
      - The text of such a kubeconfig. It holds secrets, and is never shown.
    type: str
  embed_certs:
    description:
      - Make the certificate files that the webhook's kubeconfig names part of it.
    type: bool
    default: false
  set:
    description:
      - Any C(--audit-*) flag by its name without dashes in front, with its value.
    type: dict
    default: {}
  unset:
    description:
      - Names of C(--audit-*) flags to take out.
    type: list
    elements: str
    default: []
  readers:
    description:
      - A group of the node that may read a log directory of auditctl's, rotated files too.
    type: str
  persist:
    description:
      - Also write (or take out of) the ConfigMap C(kubeadm-config), once the node has proved healthy.
      - Refused while another control plane runs with other audit flags, so give it to the last one.
    type: bool
    default: false
  purge:
    description:
      - With O(state=absent), remove policy and webhook file too.
    type: bool
    default: false
  purge_logs:
    description:
      - With O(state=absent), remove the audit log and its rotated files too. They are evidence; there is no way back.
    type: bool
    default: false
  timeout:
    description:
      - For restart and receipt together, as Go writes durations; an undo gets the same again. Without it, V(5m).
    type: str
  drain:
    description:
      - How long the old process may linger once it has stopped listening, as Go writes durations; V(0) leaves it to the kubelet.
      - Without it, V(5s), and V(0) with a webhook, a batch mode or another control plane.
    type: str
  no_downtime:
    description:
      - With V(true), a standby server serves while the API server restarts; the module fails where that cannot be done.
      - With V(auto), the module goes on without one there.
    type: str
    choices: ["auto", "true", "false"]
    default: "false"
  wait_for_turn:
    description:
      - In a cluster one control plane is changed at a time, whoever starts the changes. How long to wait while another one is
        being changed, or does not serve, as Go writes durations.
      - Without it the module does not wait, and fails with RV(reason=turn-held).
    type: str
  allow:
    description:
      - Checks that may fail; C(auditctl enable --help) lists them.
    type: list
    elements: str
    default: []
  strict:
    description: Warnings refuse too.
    type: bool
    default: false
  no_wait:
    description:
      - Write and return. Nothing is proved, and no watchdog stands by.
    type: bool
    default: false
  no_rollback:
    description:
      - Leave a failed change as it is.
    type: bool
    default: false
extends_documentation_fragment:
  - auditctl.kubeadm.node
attributes:
  check_mode:
    description: Runs C(--dry-run), which touches nothing and fails where the run would be refused.
    support: full
  diff_mode:
    description: Shows the manifest and the policy. A webhook's kubeconfig is never shown.
    support: full
notes:
  - Each change restarts an API server. Of several that begin at the same time, only one goes on at once; give the others
    O(wait_for_turn), or run the tasks with C(serial=1). The role M(auditctl.kubeadm.apiserver_audit) does both.
seealso:
  - module: auditctl.kubeadm.apiserver_audit_info
"""

EXAMPLES = r"""
- name: Audit with the policy that auditctl ships, keep the log for a week
  auditctl.kubeadm.apiserver_audit:
    policy: baseline
    log_maxage: 7

- name: Audit with a policy of the controller
  auditctl.kubeadm.apiserver_audit:
    policy_content: "{{ lookup('ansible.builtin.file', 'policy.yaml', rstrip=false) }}"
    set:
      audit-log-mode: blocking

- name: Load the policy that was edited on the node
  auditctl.kubeadm.apiserver_audit:
    state: restarted

- name: Take auditing out, with its policy, and out of kubeadm-config too
  auditctl.kubeadm.apiserver_audit:
    state: absent
    purge: true
    persist: true
"""

RETURN = r"""
report:
  description: The whole report of auditctl, as C(-o json) prints it.
  returned: when auditctl gave one
  type: dict
outcome:
  description: How the run ended, C(Changed), C(Unchanged), C(Refused), C(RolledBack), C(Stranded), C(Negative) or C(Interrupted).
  returned: always
  type: str
  sample: Changed
exit_code:
  description: The state of the node as auditctl's exit code, 0 done, 1 not recorded, 2 usage, 3 refused, 4 put back and serving, 5 a human is needed.
  returned: always
  type: int
  sample: 0
reason:
  description: Where the task failed, the name of the check that says why.
  returned: always
  type: str
  sample: apiserver-ready
rolled_back:
  description: The change failed and was undone; the API server is ready with the old configuration again.
  returned: always
  type: bool
restarted:
  description: The API server was restarted.
  returned: when auditctl gave a report
  type: bool
change_id:
  description: The change in C(auditctl history).
  returned: when something was changed
  type: str
backup_file:
  description: The saved manifest of before.
  returned: when something was changed
  type: str
flags:
  description: The audit flags that the manifest sets now, or would set.
  returned: when auditctl gave a report
  type: dict
  sample: {audit-log-maxage: "7"}
receipt:
  description: The event that was asked for and found in the log on the host.
  returned: when there is one
  type: dict
next_steps:
  description: What to do next.
  returned: when auditctl gave a report
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.auditctl.kubeadm.plugins.module_utils.program import NODE_OPTIONS, results, run, sentence, warn

COMMANDS = {"present": "enable", "absent": "disable", "restarted": "restart"}
OF_ENABLE = {
    "policy": {"type": "path"},
    "policy_content": {"type": "str"},
    "policy_name": {"type": "str"},
    "policy_path": {"type": "path"},
    "log": {"type": "bool"},
    "log_path": {"type": "str"},
    "log_maxage": {"type": "int"},
    "log_maxbackup": {"type": "int"},
    "log_maxsize": {"type": "int"},
    "webhook": {"type": "bool"},
    "webhook_config": {"type": "path"},
    "webhook_config_content": {"type": "str", "no_log": True},
    "embed_certs": {"type": "bool", "default": False},
    "set": {"type": "dict", "default": {}},
    "unset": {"type": "list", "elements": "str", "default": []},
    "readers": {"type": "str"},
}
OF_DISABLE = {
    "purge": {"type": "bool", "default": False},
    "purge_logs": {"type": "bool", "default": False},
}
OF_BOTH = {"persist": {"type": "bool", "default": False}}
OF_ALL = {
    "timeout": {"type": "str"},
    "drain": {"type": "str"},
    "wait_for_turn": {"type": "str"},
    "no_downtime": {"type": "str", "choices": ["auto", "true", "false"], "default": "false"},
    "allow": {"type": "list", "elements": "str", "default": []},
    "strict": {"type": "bool", "default": False},
    "no_wait": {"type": "bool", "default": False},
    "no_rollback": {"type": "bool", "default": False},
}
OF_STATE = {
    "present": dict(OF_ENABLE, **OF_BOTH),
    "absent": dict(OF_DISABLE, **OF_BOTH),
    "restarted": {},
}
PLAIN = (
    "policy",
    "policy_path",
    "log_path",
    "log_maxage",
    "log_maxbackup",
    "log_maxsize",
    "webhook_config",
    "readers",
    "timeout",
    "drain",
    "wait_for_turn",
)
SWITCHES = ("embed_certs", "persist", "purge", "purge_logs", "strict", "no_wait", "no_rollback")


def main():
    """Converge the node, or say what that would do."""
    module = AnsibleModule(
        argument_spec=dict(
            NODE_OPTIONS,
            state={"type": "str", "choices": ["present", "absent", "restarted"], "default": "present"},
            **OF_ENABLE,
            **OF_DISABLE,
            **OF_BOTH,
            **OF_ALL,
        ),
        mutually_exclusive=[("policy", "policy_content"), ("webhook_config", "webhook_config_content")],
        supports_check_mode=True,
    )
    _refuse_what_goes_with_another_state(module)
    words, names = _words(module)
    report, code = run(module, words, names)
    warn(module, report)
    result = dict(
        results(report, code), changed=_changed(report, module.check_mode), msg=_without_options(sentence(report))
    )
    if code != 0:
        module.fail_json(**result)
    if module._diff:  # pylint: disable=protected-access
        result["diff"] = _diffs(report)
    module.exit_json(**result)


def _refuse_what_goes_with_another_state(module):
    """An option without effect is a mistake of its author."""
    state = module.params["state"]
    for name in list(OF_ENABLE) + list(OF_DISABLE) + list(OF_BOTH):
        if name not in OF_STATE[state] and module.params[name] not in (None, False, [], {}):
            goes = " or ".join(other for other in ("present", "absent") if name in OF_STATE[other])
            module.fail_json(
                msg=f"{name} goes with state={goes}, not with state={state}; nothing was changed",
                reason="usage",
                exit_code=2,
                outcome=None,
                rolled_back=False,
            )


def _words(module):
    """The command line, and temporary files by the names that a user knows them by."""
    params, words = module.params, [COMMANDS[module.params["state"]]]
    names = {}
    for option, content in (("--policy", "policy_content"), ("--webhook-config", "webhook_config_content")):
        if params[content] is not None:
            path = _written(module, content, params[content])
            names[path] = (params["policy_name"] if option == "--policy" else None) or content
            words += [option, path]
    for name in PLAIN:
        if params[name] is not None:
            words += ["--" + name.replace("_", "-"), str(params[name])]
    words += ["--" + name.replace("_", "-") for name in SWITCHES if params[name]]
    words += ["--no-downtime=" + params["no_downtime"]] if params["no_downtime"] != "false" else []
    words += ["--no-" + name for name in ("log", "webhook") if params[name] is False]
    words += ["--yes"] if params["purge_logs"] else []
    for name, value in sorted(params["set"].items()):
        words += ["--set", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
    for option in ("unset", "allow"):
        for value in params[option]:
            words += ["--" + option, value]
    return words + (["--dry-run"] if module.check_mode else []), names


def _written(module, name, text):
    """A file that only we can read; Ansible removes its folder at the end."""
    path = f"{module.tmpdir}/{name}.yaml"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
        stream.write(text)
    return path


def _without_options(text):
    """The sentence, as somebody reads it who has not typed --dry-run."""
    return text.replace("Run again without --dry-run to apply", "Run it without check mode to apply")


def _changed(report, check_mode):
    """What was done; in check mode what would be done, in kubeadm's record too."""
    if not check_mode:
        return report["changed"]
    record = report.get("kubeadmConfig") or {}
    return bool(_plan(report).get("changes") or record.get("changes"))


def _plan(report):
    return report["manifest"].get("plan") or {}


def _diffs(report):
    """Unified diffs as auditctl wrote them: manifest, policy, kubeadm-config."""
    texts = [report["manifest"]["diff"] or ""]
    texts += [row["diff"] or "" for row in _plan(report).get("files") or []]
    texts += [(report.get("kubeadmConfig") or {}).get("diff") or ""]
    return [{"prepared": text} for text in texts if text]


if __name__ == "__main__":
    main()
