"""Take away, before anything else is imported, what Python does not have on macOS or on Windows.

AUDITCTL_TEST_SYSTEM names the system. What a real one has beside that (its own paths, its own codec of the terminal) is
tried by the workflow on real machines.
"""

import os
import select
import signal
import sys
import time

BOTH = {
    os: "memfd_create sched_getaffinity pidfd_open getxattr setxattr listxattr removexattr O_PATH MFD_CLOEXEC O_TMPFILE "
    "sched_setaffinity setresuid posix_fadvise unshare setns",
    signal: "pidfd_send_signal",
    select: "epoll",
    time: "CLOCK_BOOTTIME",
}
# Python itself is still that of Linux, and starts its new interpreters by waitpid with WNOHANG: these stay.
WINDOWS = {
    os: "O_CLOEXEC O_NOFOLLOW O_DIRECTORY O_NONBLOCK O_NOCTTY O_SYNC fork forkpty geteuid getuid getgid getegid getpgid "
    "getpgrp getsid setsid setuid setgid statvfs fstatvfs pread pwrite preadv lchown chown fchown fchmod fchdir chroot "
    "killpg mkfifo mknod initgroups register_at_fork uname nice openpty ttyname wait3 wait4 sysconf confstr "
    "getloadavg posix_spawn sendfile lockf",
    signal: "SIGALRM SIGHUP SIGPIPE SIGKILL SIGTSTP SIGTTOU SIGTTIN SIGCHLD SIGUSR1 SIGUSR2 SIGCONT SIGSTOP ITIMER_REAL "
    "setitimer getitimer alarm pause pthread_sigmask sigwait pthread_kill",
    select: "poll",
}
ABSENT_MODULES = "fcntl pwd grp termios resource spwd syslog tty pty readline curses"


def _take_away(names: dict) -> None:
    for module, words in names.items():
        for word in words.split():
            if hasattr(module, word):
                delattr(module, word)


def _no_proc(event: str, arguments: tuple) -> None:
    """Raise for what opens a path of Linux's /proc."""
    if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith(("/proc", "b'/proc")):
        raise FileNotFoundError(2, "No such file or directory", str(arguments[0]))


def _no_directory_descriptors() -> None:
    """Windows has no openat(2)."""
    real_open = os.open

    def plain_open(path, flags, mode=0o777, *, dir_fd=None):
        if dir_fd is not None:
            raise NotImplementedError("dir_fd unavailable on this platform")
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real_open(path, flags, mode)

    os.open = plain_open


SYSTEM = os.environ.get("AUDITCTL_TEST_SYSTEM")
if SYSTEM in ("macos", "windows"):
    _take_away(BOTH)
    sys.addaudithook(_no_proc)
if SYSTEM == "windows":
    import random  # noqa: F401 (registers a call at fork, by what it was built with)
    import subprocess  # noqa: F401 (asks the system that it was built for)
    import threading  # noqa: F401

    _take_away(WINDOWS)
    _no_directory_descriptors()
    for name in ABSENT_MODULES.split():
        sys.modules[name] = None
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.isatty():
            stream.reconfigure(encoding="cp1252")  # of a file or a pipe, before Python 3.15
