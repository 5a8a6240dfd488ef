#!/usr/bin/python
# Copyright: the auditctl authors
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later
# At your choice the Apache License 2.0, or the GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt),
# which is what Ansible's own modules carry.

"""Ansible's face of ``auditctl status`` and ``auditctl verify``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: apiserver_audit_info
short_description: What a kubeadm control plane audits, and the proof of it
version_added: 0.1.0
author:
  - The auditctl authors (@auditctl)
description:
  - Runs C(auditctl status) and, unless O(verify=false), C(auditctl verify), which sends one request and finds its event in the audit
    log on the host.
  - Changes nothing and fails for no answer of the node; see RV(holds). It fails where the manifest cannot be read.
options:
  verify:
    description:
      - Prove that a request is recorded now.
    type: bool
    default: true
  policies:
    description:
      - Policy files on the node, or names of policies that auditctl ships; the loaded policy has to decide as each of them does.
    type: list
    elements: str
    default: []
  flags:
    description:
      - C(--audit-*) flags by their names without dashes in front, with the values that have to be in effect.
    type: dict
    default: {}
  expect:
    description:
      - Decisions of the loaded policy, each as V(REQUEST -> LEVEL).
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - auditctl.kubeadm.node
attributes:
  check_mode:
    description: It never changes anything.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
seealso:
  - module: auditctl.kubeadm.apiserver_audit
"""

EXAMPLES = r"""
- name: Prove that this control plane records what it should
  auditctl.kubeadm.apiserver_audit_info:
    flags:
      audit-log-maxage: 30
    expect:
      - get secrets in prod -> Metadata
  register: audit

- name: Say what does not hold
  ansible.builtin.assert:
    that: audit.holds
    fail_msg: "{{ audit.msg }}"
"""

RETURN = r"""
enabled:
  description: The manifest sets a policy and a backend.
  returned: always
  type: bool
holds:
  description: Everything that was asked for is proved. Null where something is unknown, or with O(verify=false).
  returned: always
  type: bool
reason:
  description: The name of the check that does not hold.
  returned: always
  type: str
checks:
  description: Each check with its name, its status (C(passed), C(failed), C(unknown)) and what was seen.
  returned: always
  type: list
  elements: dict
findings:
  description: What C(auditctl status) has to say, drift, strays, interrupted changes.
  returned: always
  type: list
  elements: dict
flags:
  description: The audit flags that the manifest sets.
  returned: always
  type: dict
receipt:
  description: The event that was asked for and found in the log on the host.
  returned: always
  type: dict
status:
  description: The whole report of C(auditctl status).
  returned: always
  type: dict
verification:
  description: The whole report of C(auditctl verify), null with O(verify=false).
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.auditctl.kubeadm.plugins.module_utils.program import (
    NEGATIVE,
    NODE_OPTIONS,
    results,
    run,
    sentence,
)


def main():
    """Look, ask, tell."""
    module = AnsibleModule(
        argument_spec=dict(
            NODE_OPTIONS,
            verify={"type": "bool", "default": True},
            policies={"type": "list", "elements": "str", "default": []},
            flags={"type": "dict", "default": {}},
            expect={"type": "list", "elements": "str", "default": []},
        ),
        supports_check_mode=True,
    )
    status = _asked(module, ["status"])
    verification = _asked(module, _verify_words(module.params)) if module.params["verify"] else None
    proved = (verification or {}).get("verification") or {"holds": None, "checks": []}
    failed = [check["name"] for check in proved["checks"] if check["status"] == "failed"]
    module.exit_json(
        changed=False,
        msg=sentence(verification or status),
        enabled=bool((status.get("status") or {}).get("enabled")),
        holds=proved["holds"],
        reason=failed[0] if failed else None,
        checks=proved["checks"],
        findings=status["findings"],
        flags=(status.get("settings") or {}).get("flags") or {},
        receipt=(verification or {}).get("receipt"),
        status=status,
        verification=verification,
    )


def _asked(module, words):
    report, code = run(module, words)
    if code > NEGATIVE:
        module.fail_json(msg=sentence(report), **results(report, code))
    return report


def _verify_words(params):
    words = ["verify"]
    for path in params["policies"]:
        words += ["--policy", path]
    for name, value in sorted(params["flags"].items()):
        words += ["--flag", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
    for text in params["expect"]:
        words += ["--expect", text]
    return words


if __name__ == "__main__":
    main()
