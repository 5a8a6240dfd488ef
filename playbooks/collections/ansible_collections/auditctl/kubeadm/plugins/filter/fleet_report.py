# Copyright: the auditctl authors
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later
# At your choice the Apache License 2.0, or the GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt),
# which is what Ansible's own plugins carry.

"""What came of many clusters."""

from __future__ import annotations

from ansible_collections.auditctl.kubeadm.plugins.plugin_utils import fleet

DOCUMENTATION = r"""
name: fleet_report
short_description: What came of many clusters, for programs
version_added: 0.2.0
author:
  - The auditctl authors (@auditctl)
description:
  - Returns one object with a row for each cluster (C(done), C(failed), C(stopped) or C(not begun), why, and what was proved on each control
    plane), from what the role left in the hosts' variables.
positional: plan, variables, state, seconds, begun
options:
  _input:
    description: Each cluster with its control planes, in order.
    type: dict
    required: true
  plan:
    description: What the filter P(auditctl.kubeadm.fleet_turns#filter) returned.
    type: dict
    required: true
  variables:
    description: The hosts' variables, C(hostvars).
    type: dict
    required: true
  state:
    description: What the control planes were to come to.
    type: str
    required: true
  seconds:
    description: How long it took.
    type: float
    default: 0
  begun:
    description: When it began.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Say what came of the clusters
  ansible.builtin.debug:
    msg: "{{ clusters | auditctl.kubeadm.fleet_report(plan, hostvars, 'present') }}"
  vars:
    clusters: {a: [a1, a2]}
    plan: "{{ clusters | auditctl.kubeadm.fleet_turns(1, 1) }}"
"""

RETURN = r"""
_value:
  description: The report, its C(kind) is FleetReport; C(table) has it as lines for people.
  type: dict
"""


def fleet_report(clusters, plan, variables, state, seconds=0, begun=""):
    """Return the report, with the lines of its table."""
    rows = fleet.cluster_rows(clusters, plan["waves"], variables, state)
    report = fleet.fleet_report(rows, state, seconds, begun)
    return dict(report, table=fleet.fleet_lines(report))


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Return the filters of this file."""
        return {"fleet_report": fleet_report}
