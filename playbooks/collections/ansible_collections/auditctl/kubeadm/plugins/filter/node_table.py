# Copyright: the auditctl authors
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later
# At your choice the Apache License 2.0, or the GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt),
# which is what Ansible's own plugins carry.

"""A table of control planes, as the modules left them."""

from __future__ import annotations

from ansible_collections.auditctl.kubeadm.plugins.plugin_utils.nodes import node_row, table

DOCUMENTATION = r"""
name: node_table
short_description: A table of control planes with readiness, flags, policy, receipt and outage
version_added: 0.2.0
author:
  - The auditctl authors (@auditctl)
description:
  - Returns the lines of a table, one control plane a line, from what the role's modules returned of each.
  - The columns are those of C(auditctl status --server), and the outage and the receipt. What is not known is a question mark.
positional: variables
options:
  _input:
    description: The names of the hosts.
    type: list
    elements: str
    required: true
  variables:
    description: The hosts' variables, C(hostvars).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what is known of the control planes
  ansible.builtin.debug:
    msg: "{{ groups.control_plane | auditctl.kubeadm.node_table(hostvars) }}"
"""

RETURN = r"""
_value:
  description: The lines of the table.
  type: list
  elements: str
"""


def node_table(names, variables):
    """Return the lines of the table."""
    return table([node_row(name, variables[name]) for name in names])


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Return the filters of this file."""
        return {"node_table": node_table}
