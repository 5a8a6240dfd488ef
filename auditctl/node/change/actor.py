"""Tell who runs auditctl, for the journal and for syslog (facility authpriv)."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from pathlib import Path

_UNSET_LOGINUID = "4294967295"  # (uid_t) -1: no login session (a service, a container)


def who() -> dict[str, str | None]:
    """Return the effective user, the login user (which survives sudo and su) and SUDO_USER."""
    login = None
    with suppress(OSError):
        login = Path("/proc/self/loginuid").read_text().strip()
    return {
        "user": _name(os.geteuid()),
        "login": None if login in (None, "", _UNSET_LOGINUID) else _name(int(login)),
        "sudo": os.environ.get("SUDO_USER"),
    }


def record(text: str) -> None:
    """Write one line to syslog, facility authpriv; do nothing where there is no syslog socket."""
    import syslog

    with suppress(OSError):
        syslog.openlog("auditctl", syslog.LOG_PID, syslog.LOG_AUTHPRIV)
        syslog.syslog(syslog.LOG_NOTICE, text)
        syslog.closelog()


def _name(uid: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)
