"""Say what the operating system offers: commands that need no node also run on macOS and Windows.

There is no node to protect on those systems: a policy, a log or a configuration file is opened by its name, as any
editor does. What changes a node runs on Linux alone.
"""

from __future__ import annotations

import os
import sys

from auditctl.errors import RefusedError

IS_LINUX: bool = sys.platform == "linux" and hasattr(os, "getxattr")
"""The second half is true on every Linux: tests take it away to be on another system."""


def open_flag(name: str) -> int:
    """Return a flag of open(2) by its name in `os`; 0 on a system without it, which changes nothing there."""
    return int(getattr(os, name, 0))


READ_ONLY = os.O_RDONLY | open_flag("O_CLOEXEC") | open_flag("O_BINARY")
"""How a file is opened to be read; without O_BINARY Windows changes line ends."""


def require_linux(subject: str) -> None:
    """Check that this is Linux: what ``subject`` names works on a control-plane node, or is a practice node.

    Raises:
        RefusedError: it is another system.
    """
    if not IS_LINUX:
        place = "Linux" if subject.startswith("lab") else "a Linux control-plane node"
        system = {"darwin": "macOS", "win32": "Windows"}.get(sys.platform, "another system")
        raise RefusedError(f"{subject} needs {place}; this is {system}", check="linux")
