# Copyright: the auditctl authors
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later
# At your choice the Apache License 2.0, or the GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt),
# which is what Ansible's own plugins carry.

"""Names that are not among the known ones, each with the nearest that is."""

from __future__ import annotations

from difflib import get_close_matches

DOCUMENTATION = r"""
name: misspelt
short_description: Names that are not known, each with the nearest known one
version_added: 0.1.0
author:
  - The auditctl authors (@auditctl)
description:
  - Returns those of the given names that are not among the known ones, as text for a person.
  - The argument spec of a role does not refuse a variable that it does not list, so a misspelt one would have no effect.
positional: known
options:
  _input:
    description: The names to judge.
    type: list
    elements: str
    required: true
  known:
    description: The names that are right.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse a variable that the role does not know
  ansible.builtin.assert:
    that: names | auditctl.kubeadm.misspelt(known) | length == 0
  vars:
    names: [logmaxage]
    known: [log_maxage, log_maxsize]
"""

RETURN = r"""
_value:
  description: The names that are not known, the nearest known one behind each.
  type: list
  elements: str
"""


def misspelt(names, known):
    """Return each name that is not known, with the nearest one behind it."""
    known = sorted(known)
    rows = []
    for name in sorted(set(names) - set(known)):
        near = get_close_matches(name, known, n=1)
        rows.append(f"{name} (did you mean {near[0]}?)" if near else name)
    return rows


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Return the filters of this file."""
        return {"misspelt": misspelt}
