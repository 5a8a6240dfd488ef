#!/usr/bin/python
# Copyright: the auditctl authors
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later
# At your choice the Apache License 2.0, or the GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt),
# which is what Ansible's own modules carry.

"""Ansible's face of ``auditctl log tally``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: apiserver_audit_tally
short_description: Count a control plane's own audit log by what policies can tell apart
version_added: 0.2.0
author:
  - The auditctl authors (@auditctl)
description:
  - Runs C(auditctl log tally) over the node's own audit log and its rotated files, with the lowest priority of processor and disk.
  - The tally has a few kilobytes, and neither bodies nor addresses nor names of objects, but those that policies name.
  - Changes nothing but O(dest).
options:
  dest:
    description:
      - The file on the node that the tally is written to.
    type: path
    required: true
  node:
    description:
      - The name under which the counts stand; the host's name if it is not set.
    type: str
  logs:
    description:
      - Logs on the node, in place of its own one.
    type: list
    elements: path
    default: []
  policy_contents:
    description:
      - Policies whose object names are kept too, so that they can be replayed.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - auditctl.kubeadm.node
attributes:
  check_mode:
    description: The tally is written in check mode, too.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
seealso:
  - module: auditctl.kubeadm.apiserver_audit_info
"""

EXAMPLES = r"""
- name: Count the audit log of this control plane
  auditctl.kubeadm.apiserver_audit_tally:
    dest: /root/cp1.tally
    node: "{{ inventory_hostname }}"
"""

RETURN = r"""
bytes:
  description: The size of the tally.
  returned: always
  type: int
cells:
  description: How many different kinds of requests it has.
  returned: always
  type: int
events:
  description: How many events it counts.
  returned: always
  type: int
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.auditctl.kubeadm.plugins.module_utils.program import NODE_OPTIONS, results, run, sentence

LOWEST = (("nice", ["-n", "19"]), ("ionice", ["-c", "3"]))


def main():
    """Count, and say how much."""
    module = AnsibleModule(
        argument_spec=dict(
            NODE_OPTIONS,
            dest={"type": "path", "required": True},
            node={"type": "str"},
            logs={"type": "list", "elements": "path", "default": []},
            policy_contents={"type": "list", "elements": "str", "default": []},
        ),
        supports_check_mode=True,
    )
    words = ["log", "tally", "--to", module.params["dest"]]
    words += ["--node", module.params["node"]] if module.params["node"] else []
    for number, text in enumerate(module.params["policy_contents"]):
        words += ["--policy", _written(module, number, text)]
    for path in module.params["logs"]:
        words += ["--log", path]
    report, code = run(module, words, before=_lowest(module))
    if code != 0:
        module.fail_json(msg=sentence(report), **results(report, code))
    events = sum(node["events"] for node in report["nodes"])
    module.exit_json(
        changed=False,
        bytes=report["bytes"],
        cells=report["cells"],
        events=events,
        msg="{} events are {} cells in {} bytes".format(events, report["cells"], report["bytes"]),
    )


def _lowest(module):
    """Words that give a process the lowest priority, as far as the node has the programs."""
    found = [(module.get_bin_path(name), words) for name, words in LOWEST]
    return [word for path, words in found if path for word in [path, *words]]


def _written(module, number, text):
    """A file that only we can read; Ansible removes its folder at the end."""
    path = f"{module.tmpdir}/policy{number}.yaml"
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8", newline=""
    ) as stream:
        stream.write(text)
    return path


if __name__ == "__main__":
    main()
