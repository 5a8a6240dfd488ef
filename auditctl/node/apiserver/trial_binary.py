"""What a trial start is made with: the program, its folders, and a key pair where the node's own may not be read.

The program is opened once, checked through its descriptor, and executed through the same descriptor.

Whatever a path under /proc/PID leads to can change between two looks. Nothing of a container ever gets rights of ours by
this (CVE-2019-5736 is the same kind); `trial_rights` takes away those that it would have.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from shutil import rmtree
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.node import trusted_process
from auditctl.node.apiserver.process import Process
from auditctl.node.trusted_process import Owner, printable

_PROGRAMS = ("kube-apiserver", "hyperkube")


class Binary(NamedTuple):
    """An open program. ``name`` is its ``argv[0]``, by which hyperkube knows what it is to be."""

    descriptor: int
    name: str

    @property
    def path(self) -> str:
        """Return the path by which a child that has inherited the descriptor executes it."""
        return f"/proc/self/fd/{self.descriptor}"


@contextmanager
def opened(path: Path, name: str = "") -> Iterator[Binary]:
    """Open a program and check it.

    Raises:
        RefusedError: it is no program that only root (or we ourselves) can have written.
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        reason = _doubt(os.fstat(descriptor))
        if reason:
            raise RefusedError(f"{printable(name or str(path))}: {reason}", check="rehearsal")
        yield Binary(descriptor, name or path.name)
    finally:
        os.close(descriptor)


@contextmanager
def of_process(process: Process, owner: Owner) -> Iterator[Binary]:
    """Open the program that a trusted kube-apiserver runs.

    Raises:
        RefusedError: the process is not trusted (any more), or its program is none to be started; the message says why.
    """
    path = Path("/proc") / str(process.pid) / "exe"
    try:
        name = PurePosixPath(str(path.readlink()).removesuffix(" (deleted)")).name
        if name not in _PROGRAMS:
            raise RefusedError(f"process {process.pid} does not run a kube-apiserver that we could start")
        with opened(path, name) as binary:
            # Asked after the program was opened: the number may have become another process's in between.
            reason = trusted_process.server_doubt(process.pid, owner) or ("" if process.alive() else "it has ended")
            if reason:
                raise RefusedError(f"process {process.pid} is not trusted: {reason}", check="rehearsal")
            yield binary
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise RefusedError(f"the program of process {process.pid} cannot be opened: {why}") from error


def _doubt(status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "the program is not a regular file"
    if status.st_uid not in (0, os.geteuid()):
        return f"the program belongs to user {status.st_uid}, not to root"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others than its owner may write the program"
    if not status.st_mode & stat.S_IXOTH and os.geteuid() == 0:
        return "an unprivileged user may not execute the program"
    return ""


_BEFORE = bytes.fromhex("30310201010420")  # SEQUENCE, version 1, 32 octets: RFC 5915 ECPrivateKey
_AFTER = bytes.fromhex("a00a06082a8648ce3d030107")  # the curve: prime256v1
_KIND = "EC PRIVATE KEY"


def throw_away_key() -> bytes:
    """Return a new private key on P-256 (PEM), for the service accounts of a trial start: it must not have the cluster's.

    Its top bit is clear, so that it is below the order of the curve.
    """
    number = bytearray(secrets.token_bytes(32))
    number[0] &= 0x7F
    text = base64.encodebytes(_BEFORE + number + _AFTER).decode()
    return f"-----BEGIN {_KIND}-----\n{text}-----END {_KIND}-----\n".encode()


PREFIX = "auditctl-rehearsal-"
_LEFT_BEHIND_SECONDS = 600.0  # many times as long as a rehearsal takes


def sweep_folders() -> None:
    """Remove the folders that killed runs have left: our user's own, old, and of a process that is gone.

    Links are not followed: anybody may put one into the directory for temporary files.
    """
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            match = re.fullmatch(rf"{PREFIX}(\d+)-\w+", entry.name)
            if match is None or not entry.is_dir(follow_symlinks=False) or Path("/proc", match[1]).exists():
                continue
            status = entry.stat(follow_symlinks=False)
            if status.st_uid == os.geteuid() and time.time() - status.st_mtime > _LEFT_BEHIND_SECONDS:
                rmtree(entry.path, ignore_errors=True)
