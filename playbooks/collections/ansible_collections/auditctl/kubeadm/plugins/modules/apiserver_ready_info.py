#!/usr/bin/python
# Copyright: the auditctl authors
# SPDX-License-Identifier: Apache-2.0 OR GPL-3.0-or-later
# At your choice the Apache License 2.0, or the GNU General Public License v3.0+ (https://www.gnu.org/licenses/gpl-3.0.txt),
# which is what Ansible's own modules carry.

"""Does the API server of this very node serve? Needs nothing on the node but Python."""

from __future__ import annotations

DOCUMENTATION = r"""
module: apiserver_ready_info
short_description: Whether a control plane's own API server is ready
version_added: 0.1.0
author:
  - The auditctl authors (@auditctl)
description:
  - Asks C(/readyz) of the API server at this node's own address, as its manifest says it, never through a load balancer, with TLS
    verified against the cluster's authority. Where anonymous requests are not allowed, it asks as the node's C(admin.conf).
  - A server that is ready is asked for an object too, as the node's C(admin.conf), for one whose etcd member is gone goes on
    calling itself ready.
  - Needs no auditctl on the node, so that a control plane can be asked that auditctl never was on.
  - Never fails; RV(ready) is the answer.
options:
  rootfs:
    description: The folder that is treated as the node's root.
    type: path
    default: /
  manifest:
    description: The static Pod manifest of kube-apiserver.
    type: path
    default: /etc/kubernetes/manifests/kube-apiserver.yaml
  timeout:
    description: Seconds to go on asking while the answer is no.
    type: float
    default: 0
attributes:
  check_mode:
    description: It never changes anything.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  platform:
    description: The systems that it runs on.
    platforms: posix
    support: full
seealso:
  - module: auditctl.kubeadm.apiserver_audit_info
"""

EXAMPLES = r"""
- name: Wait until this control plane's own API server is ready
  auditctl.kubeadm.apiserver_ready_info:
    timeout: 30
  register: server
  failed_when: not server.ready
"""

RETURN = r"""
ready:
  description: It answered 200. Unknown is not ready.
  returned: always
  type: bool
url:
  description: What was asked.
  returned: always
  type: str
  sample: https://192.0.2.10:6443/readyz
detail:
  description: What was seen.
  returned: always
  type: str
  sample: answers 200
writes_at_once:
  description: The manifest has no audit webhook and no batch mode, so the process holds no audit records back. Unknown is false.
  returned: always
  type: bool
"""

import base64
import contextlib
import http.client
import os
import re
import socket
import ssl
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

SERVER_NAME = "kubernetes"  # in every serving certificate that kubeadm makes; 127.0.0.1 is not
SECONDS = 5.0
STORED = "/api/v1/namespaces/default"  # a get without a resourceVersion is read from etcd, not from a cache
UNSPECIFIED = ("", "0.0.0.0", "::")  # noqa: S104 (compared with, not bound)


def main():
    """Ask until it is ready or the time is over."""
    module = AnsibleModule(
        argument_spec={
            "rootfs": {"type": "path", "default": "/"},
            "manifest": {"type": "path", "default": "/etc/kubernetes/manifests/kube-apiserver.yaml"},
            "timeout": {"type": "float", "default": 0},
        },
        supports_check_mode=True,
    )
    end = time.monotonic() + module.params["timeout"]
    ready, url, detail = _asked(module.params["rootfs"], module.params["manifest"])
    while not ready and time.monotonic() < end:
        time.sleep(0.5)
        ready, url, detail = _asked(module.params["rootfs"], module.params["manifest"])
    module.exit_json(
        changed=False,
        ready=ready,
        url=url,
        detail=detail,
        writes_at_once=_writes_at_once(module.params["rootfs"], module.params["manifest"]),
        msg="{} {}".format(url or "kube-apiserver", detail),
    )


def _asked(rootfs, manifest):
    """(ready, url, what was seen)."""
    path = Path(rootfs, manifest.lstrip("/"))
    try:
        address, port = _place(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return False, "", "{} cannot be read: {}".format(path, getattr(error, "strerror", None) or error)
    host = f"[{address}]" if ":" in address else address
    url = f"https://{host}:{port}/readyz"
    if not _is_ours(address):
        return False, url, f"is not an address of this machine, though {path} says so"
    try:
        status = _status(address, port, _context(rootfs))
        if status in (401, 403):
            status = _status(address, port, _context(rootfs, as_admin=True))
    except (OSError, http.client.HTTPException) as error:
        return False, url, f"gives no answer: {getattr(error, 'strerror', None) or error}"
    if status == 200 and not _reads_storage(address, port, rootfs):
        return False, url, "answers 200, but the server does not read from its storage (its etcd member may be down)"
    return status == 200, url, f"answers {status}"


def _writes_at_once(rootfs, manifest):
    """Tell whether no backend of the manifest holds audit records back."""
    try:
        text = Path(rootfs, manifest.lstrip("/")).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return not re.search(r"audit[-_]webhook[-_]config[-_]file|audit[-_]log[-_]mode[=\s\"'-]+batch", text)


def _place(text):
    """The server's own address and port, by the rules of auditctl itself: the liveness probe's host comes first."""
    flags = dict(re.findall(r"""(?m)^\s*-\s+["']?--(secure-port|bind-address|advertise-address)=([^\s"']+)""", text))
    liveness = text.partition("livenessProbe:")[2]  # one plain pattern behind it: a nested one can take for ever
    probe = re.search(r"""(?m)^\s+host:\s*["']?([^\s"']+)""", liveness)
    candidates = (probe.group(1) if probe else "", flags.get("bind-address", ""), flags.get("advertise-address", ""))
    address = next((one for one in candidates if one not in UNSPECIFIED), "127.0.0.1")
    return "127.0.0.1" if address == "localhost" else address, int(flags.get("secure-port", "6443"))


def _is_ours(address):
    """The kernel lets us bind only addresses of this machine."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _reads_storage(address, port, rootfs):
    """A server whose etcd member is gone answers /readyz with 200 for more than a minute. Without rights: not known."""
    for _attempt in range(2):
        with contextlib.suppress(OSError, http.client.HTTPException):
            if _status(address, port, _context(rootfs, as_admin=True), STORED) < 500:
                return True
    return False


def _status(address, port, context, path="/readyz"):
    plain = socket.create_connection((address, port), SECONDS)
    with plain, context.wrap_socket(plain, server_hostname=SERVER_NAME) as secure:
        connection = http.client.HTTPConnection(address, port)
        connection.sock = secure
        connection.request("GET", path, headers={"Connection": "close", "User-Agent": "auditctl-ansible"})
        return connection.getresponse().status


def _context(rootfs, *, as_admin=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(Path(rootfs, "etc/kubernetes/pki/ca.crt"))
    if as_admin:
        _load_admin(rootfs, context)
    return context


def _load_admin(rootfs, context):
    """The client certificate of kubeadm's own kubeconfig; its key never comes to lie in a file."""
    for name in ("admin.conf", "super-admin.conf"):
        with contextlib.suppress(OSError, ValueError, ssl.SSLError):
            text = Path(rootfs, "etc/kubernetes", name).read_text(encoding="utf-8")
            parts = [re.search(rf"client-{part}-data:\s*(\S+)", text) for part in ("certificate", "key")]
            if all(parts):
                _load(context, b"\n".join(base64.b64decode(part.group(1)) for part in parts))
                return


def _load(context, pair):
    descriptor = os.memfd_create("client")
    try:
        os.write(descriptor, pair)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
