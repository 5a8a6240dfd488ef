"""Check, where SELinux enforces, whether the API server's container may write its log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from auditctl.findings import Finding
from auditctl.manifest.fields import mapping
from auditctl.manifest.pod import Manifest
from auditctl.node.change.files import Root

# container-selinux: what container_t may write, and what it certainly may not
_WRITABLE = frozenset(["container_file_t", "svirt_sandbox_file_t"])
_CLOSED = frozenset(
    ["var_log_t", "auditd_log_t", "etc_t", "var_t", "var_lib_t", "usr_t", "tmp_t", "user_tmp_t", "user_home_t"]
)


def log_label(root: Root, manifest: Manifest, log: Path) -> Iterator[Finding]:
    """Yield a warning for a label that a container may not write, an info for one that is not known."""
    if not is_enforcing(root) or _unconfined(manifest):
        return
    there = next(path for path in (log.parent, *log.parents) if path.is_dir())
    try:
        label = os.getxattr(there, "security.selinux").decode(errors="replace").rstrip("\0")
    except OSError:
        return
    yield from judged(there, label)


def judged(directory: Path, label: str) -> Iterator[Finding]:
    """Yield what a label (``user:role:type:level``) means for a container that writes there."""
    parts = label.split(":")
    kind = parts[2] if len(parts) > 2 else ""
    fix = f"semanage fcontext -a -t container_file_t '{directory}(/.*)?' && restorecon -R {directory}"
    if kind in _CLOSED:
        text = f"SELinux enforces, and a container may not write to {directory} (type {kind}): the API server would not start"
        yield Finding.warning("selinux", text, fix)
    elif kind not in _WRITABLE:
        text = f"SELinux enforces; whether a container may write to {directory} (type {kind}) is not known"
        yield Finding.note("selinux", text, fix)


def is_enforcing(root: Root) -> bool:
    """Tell whether the kernel of this node enforces a policy."""
    try:
        return root.host("/sys/fs/selinux/enforce").read_text().strip() == "1"
    except OSError:
        return False


def _unconfined(manifest: Manifest) -> bool:
    own = mapping(manifest.document, (*manifest.container_path, "securityContext"))
    pod = mapping(manifest.document, ("spec", "securityContext"))
    options = own.get("seLinuxOptions") or pod.get("seLinuxOptions")
    return own.get("privileged") is True or (isinstance(options, dict) and options.get("type") == "spc_t")
