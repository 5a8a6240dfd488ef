"""Faults at the n-th call of ours that changes something, laid from inside the process: no strace, the same everywhere.

Every such call of the package goes through ``os``, ``fcntl``, ``signal`` or `opening.rename_new`; ``test_every_changing_call_is_counted``
compares this list with what strace sees.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from auditctl.node import opening

_NAMES = {
    os: (
        "write", "pwrite", "fsync", "rename", "replace", "unlink", "remove", "mkdir", "rmdir", "chmod", "fchmod",
        "chown", "fchown", "setxattr", "ftruncate", "truncate", "link", "symlink", "kill",
    ),
    fcntl: ("flock",),
    signal: ("pidfd_send_signal",),
    opening: ("rename_new",),
}  # fmt: skip
_RENAMES = ("rename", "replace", "rename_new")
_AS = {"rename_new": "rename"}
_CREATING = os.O_CREAT | os.O_TRUNC

_kill, _write = os.kill, os.write  # the real ones, before anything is laid

# (the call's name, its arguments, how to make it) -> its result
Fault = Callable[[str, tuple[Any, ...], Callable[[], Any]], Any]


def lay(fault: Fault) -> None:
    """From now on every changing call of this process goes through ``fault``."""

    def through(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            return fault(name, whole(name, arguments, options), lambda: real(*arguments, **options))

        return call

    for module, names in _NAMES.items():
        for name in names:
            setattr(module, name, through(name, getattr(module, name)))
    real_open = os.open

    def opening_call(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if not flags & _CREATING:
            return real_open(path, flags, *arguments, **options)
        named = whole("open", (path, flags), options)
        return int(fault("open", named, lambda: real_open(path, flags, *arguments, **options)))

    os.open = opening_call  # type: ignore[assignment]


def whole(name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, ...]:
    """The arguments with whole paths, where they are relative to an open directory."""
    if name == "rename_new":
        held = os.readlink(f"/proc/self/fd/{arguments[2]}")
        return f"{held}/{arguments[0]}", f"{held}/{arguments[1]}"
    paths = list(arguments)
    for place, key in ((0, "dir_fd"), (0, "src_dir_fd"), (1, "dst_dir_fd")):
        if options.get(key) is not None:
            paths[place] = f"{os.readlink(f'/proc/self/fd/{options[key]}')}/{arguments[place]}"
    return tuple(paths)


def whole_path(target: Any) -> str:
    """The path of a descriptor, or the path itself."""
    return os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else os.fspath(target)


class Counted:
    """Counts the calls; at the n-th (from 1) ``act`` is asked instead. ``lasting``: at every later one too."""

    def __init__(self, nth: int, act: Fault, *, only: frozenset[str] = frozenset(), lasting: bool = False) -> None:
        self.nth, self.act, self.only, self.lasting = nth, act, only, lasting
        self.seen = 0

    def __call__(self, name: str, arguments: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        if self.only and name not in self.only:
            return make()
        self.seen += 1
        if self.seen == self.nth or (self.lasting and self.seen > self.nth):
            return self.act(name, arguments, make)
        return make()


def noted(into: int) -> Fault:
    """Nothing goes wrong; the name of each call and the path that it names are written to a descriptor."""

    def note(name: str, arguments: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        target = arguments[1] if name in _RENAMES else arguments[0] if arguments else ""
        path = whole_path(target)
        _write(into, f"{_AS.get(name, name)} {path}\n".encode())
        return make()

    return note


def die(name: str, arguments: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """SIGKILL on the way into the call."""
    _kill(os.getpid(), signal.SIGKILL)


def die_torn(name: str, arguments: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """SIGKILL in the middle of a write; on the way out of any other call."""
    if name == "write":
        _write_half(*arguments[:2])
    else:
        with suppress(OSError):
            make()
    _kill(os.getpid(), signal.SIGKILL)


def failing(number: int) -> Fault:
    """The call fails with this errno, and has done nothing."""

    def fail(name: str, arguments: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        named = arguments[0] if arguments and not isinstance(arguments[0], int) else None
        raise OSError(number, os.strerror(number), None if named is None else os.fspath(named))

    return fail


def failing_late(number: int) -> Fault:
    """The call fails with this errno, and has done its work all the same (a rename whose reply got lost)."""

    def fail(name: str, arguments: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        make()
        return failing(number)(name, arguments, make)

    return fail


def full_in_the_middle(name: str, arguments: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """A write that takes half of the bytes and says so, as the kernel does on a disk that fills up; else ENOSPC."""
    if name in ("write", "pwrite") and len(arguments[1]) > 1:
        return _write_half(*arguments[:2])
    return failing(errno.ENOSPC)(name, arguments, make)


def lie(name: str, arguments: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    """A write that says it took everything, and lost the first bytes: a disk or a driver that lies."""
    if name not in ("write", "pwrite"):
        return make()
    descriptor, content = arguments[:2]
    _write(descriptor, content[7:])
    return len(content)


def _write_half(descriptor: int, content: bytes) -> int:
    return _write(descriptor, content[: len(content) // 2])
