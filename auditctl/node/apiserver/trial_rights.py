"""The rights of a trial start: none. A child of root becomes a user that nobody else is, without capabilities or network.

The order counts: the network namespace and the bounding set need rights that the change of user takes away, and the
kernel forgets the signal at the parent's death when credentials change (kernel/cred.c commit_creds).
"""

from __future__ import annotations

import fcntl
import os
import pwd
import random
import resource
import signal
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from auditctl.node.system_calls import call
from auditctl.node.trusted_process import uids_of

# Numbers that systemd gives to services for their lifetime (DynamicUser=), and nobody else.
_FIRST_UID, _LAST_UID = 61184, 65519
_NOBODY = 65534
_CLONE_NEWNET = 0x40000000  # linux/sched.h
_PDEATHSIG, _CAPBSET_DROP, _NO_NEW_PRIVS, _CAP_AMBIENT, _CLEAR_ALL = 1, 24, 38, 47, 4  # linux/prctl.h
_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
_HIGHEST_CAPABILITY = 63
_GET_FLAGS, _SET_FLAGS, _IS_UP = 0x8913, 0x8914, 0x1  # linux/sockios.h, linux/if.h
_INTERFACE = "16sH22x"  # struct ifreq: a name and flags
_ENDING_ROUNDS = 50
_ENDING_SECONDS = 0.01  # a killed process is gone when the scheduler has come to it
_LIMITS = (
    (resource.RLIMIT_CORE, 0),  # secrets of the webhook's file are in its memory
    (resource.RLIMIT_CPU, 60),
    (resource.RLIMIT_FSIZE, 16 << 20),
    (resource.RLIMIT_NOFILE, 1024),
)
_MOST_THREADS = 512


def lesser_user() -> int | None:
    """Return the number of a user that no process and no account has; None where we may not change users anyway."""
    if os.geteuid() != 0:
        return None
    in_use = {uid for entry in os.listdir("/proc") if entry.isdecimal() for uid in uids_of(int(entry))}  # noqa: PTH208
    numbers = list(range(_FIRST_UID, _LAST_UID + 1))
    random.shuffle(numbers)
    return next((uid for uid in numbers if uid not in in_use and not _has_account(uid)), _NOBODY)


def _has_account(uid: int) -> bool:
    try:
        return bool(pwd.getpwuid(uid))
    except KeyError:
        return False


def give_up(uid: int | None) -> Callable[[], None]:
    """Return what a child runs between fork and exec: it gives up every right, and gives way to all others.

    It raises OSError, so that nothing is executed, where the rights cannot be given up.
    """
    limits = [*_LIMITS, *([(resource.RLIMIT_NPROC, _MOST_THREADS)] if uid is not None else [])]

    def prepare() -> None:
        os.setpriority(os.PRIO_PROCESS, 0, 19)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_bytes(b"1000")  # it dies first where memory is short
        for limit, value in limits:
            hard = resource.getrlimit(limit)[1]
            most = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(limit, (most, most))
        os.umask(0o077)
        if uid is not None:
            _leave_the_network()
            _become(uid)
        call("capset", struct.pack("II", _CAPABILITY_VERSION_3, 0), bytes(24))
        call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)
        call("prctl", _PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    return prepare


def _leave_the_network() -> None:
    """Enter a network with nothing but loopback, where the kernel lets us; else the trial listens on the host's loopback."""
    try:
        call("unshare", _CLONE_NEWNET)
    except OSError:
        return
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        flags = struct.unpack(_INTERFACE, fcntl.ioctl(any_socket, _GET_FLAGS, struct.pack(_INTERFACE, b"lo", 0)))[1]
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack(_INTERFACE, b"lo", flags | _IS_UP))


def _become(uid: int) -> None:
    for capability in range(_HIGHEST_CAPABILITY + 1):
        with suppress(OSError):  # one that this kernel does not have
            call("prctl", _CAPBSET_DROP, capability, 0, 0, 0)
    with suppress(OSError):
        call("prctl", _CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def end_all_of(uid: int | None) -> None:
    """End every process of a trial's own user: one that has left the process group, too."""
    if uid is None or uid == _NOBODY:
        return
    for _ in range(_ENDING_ROUNDS):
        left = [int(entry) for entry in os.listdir("/proc") if entry.isdecimal() and _is_of(int(entry), uid)]  # noqa: PTH208
        if not left:
            return
        for pid in left:
            _end(pid, uid)
        time.sleep(_ENDING_SECONDS)


def _is_of(pid: int, uid: int) -> bool:
    """Tell whether it is a process of this user that can still act; a zombie only waits for its parent."""
    if uid not in uids_of(pid):
        return False
    with suppress(OSError):
        return "\nState:\tZ" not in Path("/proc", str(pid), "status").read_text(errors="replace")
    return False


def _end(pid: int, uid: int) -> None:
    with suppress(OSError):
        descriptor = os.pidfd_open(pid)
        try:
            if uid in uids_of(pid):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)
