# Copyright: the auditctl authors
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later
# At your choice the Apache License 2.0, or the GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt),
# which is what Ansible's own plugins carry.

"""The order in which the control planes of many clusters are changed."""

from __future__ import annotations

from ansible_collections.auditctl.kubeadm.plugins.plugin_utils.fleet import turns, waves

DOCUMENTATION = r"""
name: fleet_turns
short_description: In which order the control planes of many clusters are changed
version_added: 0.2.0
author:
  - The auditctl authors (@auditctl)
description:
  - Splits clusters into waves, the canaries first, and gives every control plane its turn. One control plane of a cluster has a turn at
    a time, and many clusters have one at the same time.
positional: at_once, canaries
options:
  _input:
    description: Each cluster with its control planes, in order.
    type: dict
    required: true
  at_once:
    description: How many clusters are in a wave.
    type: int
    required: true
  canaries:
    description: How many clusters the first wave has; 0 is none.
    type: int
    default: 1
"""

EXAMPLES = r"""
- name: Plan the waves
  ansible.builtin.set_fact:
    plan: "{{ {'a': ['a1', 'a2'], 'b': ['b1', 'b2']} | auditctl.kubeadm.fleet_turns(1, 1) }}"
"""

RETURN = r"""
_value:
  description: The waves (names of clusters), the turns (node, cluster, wave, rank, last), and the batches (how many turns at a time).
  type: dict
"""


def fleet_turns(clusters, at_once, canaries=1):
    """Return waves, turns and batches."""
    planned = waves(clusters, at_once, canaries)
    return dict(turns(clusters, planned), waves=planned)


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Return the filters of this file."""
        return {"fleet_turns": fleet_turns}
