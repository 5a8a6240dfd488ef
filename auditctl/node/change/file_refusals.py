"""Say why a file cannot be read: the refusals of `files`."""

from __future__ import annotations

import errno
from pathlib import Path

from auditctl.errors import RefusedError
from auditctl.node import opening

KINDS_NOT_READ = {errno.EISDIR: "is a directory", errno.EINVAL: "is not a regular file"}  # see files.open_regular


def unreadable(path: Path, subject: str, error: OSError) -> RefusedError:
    """Return the refusal for a file that cannot be read; ``subject`` names it in text and check."""
    check = f"{subject}-unreadable"
    if isinstance(error, opening.ForeignLinkError):
        return RefusedError(
            f"{error.filename}: {error.strerror}, so {subject} {path} is not read",
            check="path-untrusted",
            fix="specify the path that the link leads to, or make root the owner of the link and its directory",
        )
    if error.errno == errno.ELOOP:
        return RefusedError(
            f"{path}: {subject} is a symbolic link, and a rename would replace the link",
            check=f"{subject}-symlink",
            fix="specify the file that it points to, or put a regular file there",
        )
    if error.errno == errno.ENOENT:
        fix = (
            "specify it with --manifest, or the node's root with --rootfs"
            if subject == "manifest"
            else "specify a file that exists"
        )
        return RefusedError(f"{path}: {subject} not found", check=f"{subject}-missing", fix=fix)
    if error.errno in KINDS_NOT_READ:
        return RefusedError(f"{path}: {subject} {KINDS_NOT_READ[error.errno]}", check=check)
    reason = (error.strerror or str(error)).lower()
    fix = "run it as root (sudo)" if error.errno in (errno.EACCES, errno.EPERM) else ""
    return RefusedError(f"{path}: cannot read {subject}: {reason}", check=check, fix=fix)
