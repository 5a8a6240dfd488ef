# Copyright: the auditctl authors
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later
# At your choice the Apache License 2.0, or the GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt),
# which is what Ansible's own plugins carry.

"""How far a run over many clusters has come."""

from __future__ import annotations

from ansible_collections.auditctl.kubeadm.plugins.plugin_utils import fleet

DOCUMENTATION = r"""
name: fleet_progress
short_description: How far a run over many clusters has come
version_added: 0.2.0
author:
  - The auditctl authors (@auditctl)
description:
  - Returns which clusters have failed, how many control planes of each are done, and whether a further cluster may begin.
positional: plan, variables, state, percentage, canaries
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
    description: What the control planes are to come to.
    type: str
    required: true
  percentage:
    description: The percentage of all clusters that may fail before no further one is begun.
    type: float
    default: 0
  canaries:
    description: How many clusters the first wave has; where one of them fails, no further one is begun.
    type: int
    default: 1
"""

EXAMPLES = r"""
- name: Look how far it came
  ansible.builtin.debug:
    msg: "{{ clusters | auditctl.kubeadm.fleet_progress(plan, hostvars, 'present', 10, 1) }}"
  vars:
    clusters: {a: [a1, a2]}
    plan: "{{ clusters | auditctl.kubeadm.fleet_turns(1, 1) }}"
"""

RETURN = r"""
_value:
  description: The failed clusters, how many control planes are done by cluster, and C(braked), which is true where none may begin.
  type: dict
"""


def fleet_progress(clusters, plan, variables, state, percentage=0, canaries=1):
    """Return failed clusters, done control planes by cluster, and whether the brake holds."""
    return fleet.progress(clusters, plan["waves"], variables, state, percentage, canaries)


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Return the filters of this file."""
        return {"fleet_progress": fleet_progress}
