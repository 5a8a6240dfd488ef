"""The running kube-apiserver, read from /proc: who listens, since when, started with what, holding which files."""

from __future__ import annotations

import ipaddress
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from auditctl.node import trusted_process
from auditctl.node.trusted_process import ROOT, Owner, Untrusted

if TYPE_CHECKING:
    from auditctl.manifest.pod import Manifest
    from auditctl.node.opening import Root

_PROC = Path("/proc")
_LISTEN = "0A"  # include/net/tcp_states.h TCP_LISTEN
_NAME = "kube-apiserver"


class Process(NamedTuple):
    """One process. ``started`` is in seconds of the boot clock; pid and start together identify it for ever."""

    pid: int
    started: float
    argv: tuple[str, ...]

    @property
    def identity(self) -> tuple[int, float]:
        return self.pid, self.started

    @property
    def root(self) -> Path:
        """Return the root of its mount namespace, as we can reach it."""
        return _PROC / str(self.pid) / "root"

    def runs(self, command: Sequence[str]) -> bool:
        """Tell whether it was started with this command (a manifest's argv).

        The name may be a path, and an interpreter may stand before it (a script shows its interpreter first); every
        argument after it must be equal. ``$(VAR)`` is expanded by the kubelet, so such an argument matches anything.
        """
        flags = command[1:]
        at = len(self.argv) - len(flags) - 1
        if at < 0 or PurePosixPath(self.argv[at]).name != PurePosixPath(command[0]).name:
            return False
        return all(want == have or "$(" in want for want, have in zip(flags, self.argv[at + 1 :], strict=True))

    @property
    def flags(self) -> tuple[str, ...]:
        """Return its arguments after the name."""
        for at, word in enumerate(self.argv):
            if PurePosixPath(word).name == _NAME:
                return self.argv[at + 1 :]
        return ()

    def shares_our_mounts(self) -> bool:
        """Tell whether it is in our own mount namespace, and sees the host's paths, not a container's."""
        return _inode(_PROC / str(self.pid) / "ns/mnt") == _inode(_PROC / "self/ns/mnt")

    def open_inodes(self) -> frozenset[tuple[int, int]]:
        """Return (device, inode) of every file that it has open."""
        inodes = set()
        for link in _children(_PROC / str(self.pid) / "fd"):
            with suppress(OSError):
                status = link.stat()
                inodes.add((status.st_dev, status.st_ino))
        return frozenset(inodes)

    def open_paths(self) -> tuple[str, ...]:
        """Return the paths of its open files in its own root; the kernel marks a removed one ``(deleted)``."""
        paths = []
        for link in _children(_PROC / str(self.pid) / "fd"):
            with suppress(OSError):
                paths.append(str(link.readlink()))
        return tuple(path for path in paths if path.startswith("/"))

    def alive(self) -> bool:
        """Tell whether this very process (not another with its pid) is still there, and not a zombie."""
        stat = _stat(self.pid)
        return stat is not None and stat[0] != "Z" and abs(stat[1] - self.started) < 0.011


def listener(port: int, manifest: Manifest | None = None) -> Process | None:
    """Return the trusted kube-apiserver that owns a listening TCP socket on ``port``; None if there is none to be seen.

    ``manifest`` says which user runs it, and which Pod it is; without one, root does. See `trusted_process`.
    """
    inodes = listening_inodes(port)
    if not inodes:
        return None
    for process in apiservers(trusted_process.owner_of(manifest)):
        if owns(process.pid, inodes):
            return process
    return None


def server_on(root: Root, port: int, manifest: Manifest | None) -> Process | None:
    """Return this node's API server on ``port``; one of this very machine is another node's than that of ``--rootfs``."""
    process = listener(port, manifest)
    if process is None or root.is_host:
        return process
    inside = f"{root.path.resolve()}/"
    as_manifest = manifest is not None and process.runs(manifest.command)
    return process if as_manifest or any(word.startswith(inside) for word in process.argv) else None


def untrusted_listener(port: int, manifest: Manifest | None = None) -> Untrusted | None:
    """Return who listens on ``port`` where no trusted kube-apiserver does; None if nobody does, or if it may not be seen."""
    inodes = listening_inodes(port, manifest.flag("bind-address") if manifest is not None else None)
    if not inodes or listener(port, manifest) is not None:
        return None
    owner = trusted_process.owner_of(manifest)
    for pid in sorted(_pids()):
        if owns(pid, inodes):
            reason = trusted_process.server_doubt(pid, owner) or "it is not a kube-apiserver"
            uids = trusted_process.uids_of(pid)
            return Untrusted(pid, uids[0] if uids else None, trusted_process.program_of(pid), reason)
    return None


def port_is_taken(port: int) -> bool:
    """Tell whether anybody listens on the port."""
    return bool(listening_inodes(port))


def apiservers(owner: Owner = ROOT) -> Iterator[Process]:
    """Yield every trusted process whose command names kube-apiserver, newest first."""
    processes = [process for pid in _pids() if (process := _read(pid, owner)) is not None]
    for process in sorted(processes, key=lambda process: -process.started):
        if not trusted_process.server_doubt(process.pid, owner) and process.alive():
            yield process


def _pids() -> list[int]:
    return [int(entry.name) for entry in _children(_PROC) if entry.name.isdecimal()]


def listening_inodes(port: int, bind_address: str | None = None) -> frozenset[str]:
    """Return the sockets that listen on the port (/proc/net/tcp, tcp6); with an address those alone that are in its way.

    A load balancer may listen on the same port of another address of this machine.
    """
    port_suffix = f":{port:04X}"
    inodes = set()
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (_PROC / "net" / name).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN and fields[1].endswith(port_suffix) and _in_the_way(fields[1], bind_address):
                    inodes.add(fields[9])
    return frozenset(inodes)


def _in_the_way(local: str, bind_address: str | None) -> bool:
    """Tell whether a server that binds ``bind_address`` meets the socket ``local`` (HEX:PORT, machine order)."""
    raw = bytes.fromhex(local.partition(":")[0])
    size = len(raw) // 4
    theirs = ipaddress.ip_address(struct.pack(f">{size}I", *struct.unpack(f"={size}I", raw)))
    try:
        ours = ipaddress.ip_address(bind_address or "::")
    except ValueError:
        return True
    mapped = getattr(theirs, "ipv4_mapped", None)
    return ours.is_unspecified or theirs.is_unspecified or ours in (theirs, mapped)


def owns(pid: int, inodes: frozenset[str]) -> bool:
    """Tell whether the process holds one of these sockets."""
    sockets = {f"socket:[{inode}]" for inode in inodes}
    for link in _children(_PROC / str(pid) / "fd"):
        with suppress(OSError):
            if str(link.readlink()) in sockets:
                return True
    return False


def _read(pid: int, owner: Owner) -> Process | None:
    if trusted_process.user_doubt(pid, owner):
        return None  # before its command line is read, which can block
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return None
    if _NAME.encode() not in raw:
        return None
    argv = tuple(word.decode(errors="surrogateescape") for word in raw.removesuffix(b"\0").split(b"\0"))
    # the name itself, or an interpreter and the name: not an editor with the manifest open
    if _NAME not in (PurePosixPath(word).name for word in argv[:2]):
        return None
    stat = _stat(pid)
    return None if stat is None or stat[0] == "Z" else Process(pid, stat[1], argv)


def _stat(pid: int) -> tuple[str, float] | None:
    """Return (state, start in seconds of the boot clock): proc_pid_stat(5), fields 3 and 22."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _children(path: Path) -> list[Path]:
    try:
        return [path / name for name in os.listdir(path)]  # noqa: PTH208 (3 times faster than iterdir on /proc)
    except OSError:
        return []


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None
