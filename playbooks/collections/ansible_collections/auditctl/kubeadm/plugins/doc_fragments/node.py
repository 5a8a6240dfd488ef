# Copyright: the auditctl authors
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later
# At your choice the Apache License 2.0, or the GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt),
# which is what Ansible's own modules carry.

"""Options of every module that runs auditctl on a node: where it is, and which node it works on."""

from __future__ import annotations


class ModuleDocFragment:
    """Where auditctl is, and the node that it works on."""

    DOCUMENTATION = r"""
options:
  rootfs:
    description:
      - The folder that is treated as the node's root; every path of the node is inside it.
    type: path
    default: /
  manifest:
    description:
      - The static Pod manifest of kube-apiserver.
      - Without it, V(/etc/kubernetes/manifests/kube-apiserver.yaml).
    type: path
  state_dir:
    description:
      - Where auditctl keeps its journal, backups, lock and last known good policy.
      - Without it, V(/var/lib/auditctl).
    type: path
  kubeconfig:
    description:
      - The kubeconfig with which the node's own API server is asked; its server is replaced by this node's address.
      - Without it, the C(admin.conf) of kubeadm, else its C(super-admin.conf), else none.
    type: path
  python:
    description:
      - A Python interpreter of the node that can import auditctl.
      - Without it, the module's own is tried, then V(/opt/auditctl/bin/python3).
      - Together with O(executable), the interpreter that runs that file.
    type: path
  executable:
    description:
      - The command auditctl on the node, a path or a name.
      - Without it, and where no interpreter has auditctl, V(kube-auditctl) and V(kubectl-auditctl) are looked for in the
        usual places. The name V(auditctl) is not, for auditd has a program of that name.
    type: path
requirements:
  - auditctl on the node, as a Python package or as a command (Python 3.10 or newer; the module itself needs 3.8)
attributes:
  platform:
    description: The systems that it runs on.
    platforms: posix
    support: full
"""
