"""Decide whether a process is what it claims to be: who runs it, in whose namespaces, in which Pod.

A name and a command line are chosen by whoever starts a process, and the API server's port is free whenever the server
restarts. auditctl runs as root, so nothing that it reads from a process, kills, or executes may rest on these alone:

1. real, effective and saved user: the one that the manifest gives the API server, root for kubelet and kubeadm. They
   are read first: /proc/PID/status is the kernel's own text, while reading /proc/PID/cmdline touches the memory of the
   process, which can be mapped so that a reader never comes back.
   A set-user-ID program is not believed: whoever started it, with whatever rights, chose its name and command line, and
   some of them (chfn, passwd) make themselves root's in all three once the caller has given a password of their own.
2. our user namespace, in which those numbers mean what they say.
3. for kubelet and kubeadm our PID namespace, network and root directory: a kubelet in a container is another node's.
4. for the API server the cgroup, where the node has one for Pods: the UID of the static Pod stands in its path
   (pkg/kubelet/cm/pod_container_manager_linux.go), and the kubelet names the Pod's log folder after the same UID.

An ordinary user's auditctl (a practice node, ``status``) has no rights to lose: it believes its own processes, too.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from auditctl.manifest.pod import Manifest

_PROC = Path("/proc")
_POD_LOGS = Path("/var/log/pods")
_CGROUPS = Path("/sys/fs/cgroup")
_CGROUP_DEPTH = 3  # version 1: CONTROLLER/kubepods; a kubelet with cgroupRoot: ROOT/kubepods
_POD_OF_CGROUP = re.compile(r"[/-]pod([0-9a-f]{32}|[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})(?![0-9a-f])")
_LONGEST_PROGRAM = 200


class Owner(NamedTuple):
    """Who must run a process. ``pod`` is the beginning of its log folder's name, empty where it is in no Pod."""

    uid: int = 0
    pod: str = ""


ROOT = Owner()


class Untrusted(NamedTuple):
    """A process that listens where the API server should, and why it is not believed."""

    pid: int
    uid: int | None
    program: str
    reason: str

    def on(self, port: int) -> str:
        """Return one sentence for the user; nothing that the process chose can steer a terminal."""
        return (
            f"process {self.pid} ({self.program}, user {'unknown' if self.uid is None else self.uid}) listens on port"
            f" {port} and is not trusted to be this node's API server: {self.reason}"
        )

    @property
    def fix(self) -> str:
        """Return the next step."""
        return f"find out who started it (ps -fp {self.pid}) and end it; then run: auditctl doctor"


def owner_of(manifest: Manifest | None) -> Owner:
    """Return who must run the API server of a manifest; root where there is no manifest to read."""
    if manifest is None:
        return ROOT
    return Owner(manifest.run_as_user, f"{manifest.namespace}_{manifest.pod_name}-")


def server_doubt(pid: int, owner: Owner) -> str:
    """Return why the process is not believed to be the node's API server; empty where nothing speaks against it."""
    return user_doubt(pid, owner) or _namespace_doubt(pid, "user") or _cgroup_doubt(pid, owner)


def host_doubt(pid: int) -> str:
    """Return why the process is not believed to be a kubelet or kubeadm of this machine; empty if nothing is."""
    doubt = user_doubt(pid, ROOT)
    for kind in ("user", "pid", "net"):
        doubt = doubt or _namespace_doubt(pid, kind)
    return doubt or _root_doubt(pid)


def user_doubt(pid: int, owner: Owner) -> str:
    """Return why the users of the process are the wrong ones; empty if they are right."""
    uids = uids_of(pid)
    if not uids:
        return "it has ended, or cannot be looked at"
    # Root is never less privileged than we are; and an old server runs as root until the kubelet acts on a manifest.
    if len(set(uids)) == 1 and uids[0] in {owner.uid, 0, os.geteuid()}:
        return _program_doubt(pid)
    if len(set(uids)) == 1:
        return f"it runs as user {uids[0]}, not as user {owner.uid}"
    return f"its real, effective and saved user are {', '.join(map(str, uids))}, not all user {owner.uid}"


def _program_doubt(pid: int) -> str:
    """Return what the program's own mode says against it. An ordinary user may not look at root's, and needs not."""
    try:
        mode = (
            (_PROC / str(pid) / "exe").stat().st_mode
        )  # after the users: another user's may lie where a look takes long
    except OSError:
        return "" if os.geteuid() != 0 else "its program cannot be looked at"
    return "its program is set-user-ID, so that its name was chosen by another user" if mode & stat.S_ISUID else ""


def uids_of(pid: int) -> tuple[int, ...]:
    """Return the real, effective and saved user of a process; empty if it has ended."""
    for line in _read(_PROC / str(pid) / "status").splitlines():
        if line.startswith("Uid:"):
            return tuple(map(int, line.split()[1:4]))
    return ()


def program_of(pid: int) -> str:
    """Return the path of a process's program in printable characters; empty if it may not be known."""
    try:
        return printable(str((_PROC / str(pid) / "exe").readlink())[:_LONGEST_PROGRAM])
    except OSError:
        return "unknown program"


def printable(text: str) -> str:
    """Return the text with every character that could steer a terminal written as its number."""
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)


def _namespace_doubt(pid: int, kind: str) -> str:
    ours = (_PROC / "self/ns" / kind).readlink()
    try:
        theirs = (_PROC / str(pid) / "ns" / kind).readlink()
    except FileNotFoundError:
        return "it has ended"
    except OSError:
        # The kernel shows them to root alone. An ordinary user acts on nothing that this would decide.
        return "" if os.geteuid() != 0 else "its namespaces cannot be looked at"
    names = {"pid": "PID", "net": "network"}
    return "" if theirs == ours else f"it is in another {names.get(kind, kind)} namespace (a container's)"


def _root_doubt(pid: int) -> str:
    try:
        is_ours = (_PROC / str(pid) / "root").samefile("/")
    except OSError:
        return "" if os.geteuid() != 0 else "its root directory cannot be looked at"
    return "" if is_ours else "its root directory is not this machine's (a container's)"


def _cgroup_doubt(pid: int, owner: Owner) -> str:
    """Return what the cgroups say against it. An ordinary user's own processes need no Pod."""
    theirs, ours = (_read(_PROC / str(one) / "cgroup") for one in (pid, "self"))
    if os.geteuid() != 0 or theirs == ours:
        return ""
    their_pod, our_pod = _POD_OF_CGROUP.search(theirs), _POD_OF_CGROUP.search(ours)
    if their_pod is not None and our_pod is not None and their_pod[1] == our_pod[1]:
        return ""  # we are in that Pod ourselves: a practice node in a container of a cluster
    if their_pod is None:
        is_of_the_host = not _namespace_doubt(pid, "pid") and set(uids_of(pid)) == {0}
        return "" if is_of_the_host or not _has_pods() else "it runs outside of the kubelet's Pods (by its cgroup)"
    uid, known = their_pod[1].replace("_", "-"), _pod_uids(owner.pod)
    return "" if not known or uid in known else f"its cgroup is of Pod {uid}, which is not the API server's static Pod"


def _pod_uids(prefix: str) -> frozenset[str]:
    """Return the UIDs of the Pods whose log folders begin so (pkg/kubelet/kuberuntime/helpers.go BuildPodLogsDirectory)."""
    with suppress(OSError):
        names = os.listdir(_POD_LOGS) if prefix else ()  # noqa: PTH208 (names alone are needed)
        return frozenset(name.rpartition("_")[2] for name in names if name.startswith(prefix))
    return frozenset()


def _has_pods() -> bool:
    """Does the kubelet of this machine keep its Pods in cgroups of their own?"""
    patterns = ("/".join([*["*"] * depth, "*kubepods*"]) for depth in range(_CGROUP_DEPTH))
    return any(next(_CGROUPS.glob(pattern), None) is not None for pattern in patterns)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
