"""Why the API server is not as its manifest says: a verdict over recorded evidence. Pure: nothing is read here.

What is certain is a program's own last words, or what the kernel shows; everything else is said to be a guess.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from auditctl.node.apiserver.client import Readiness
from auditctl.node.apiserver.crash import Crash
from auditctl.node.apiserver.process import Process
from auditctl.node.trusted_process import Untrusted

_JUST_NOW_SECONDS = 60.0  # the usual time of a replaced Pod, with the kubelet's 30 s of grace (measured.md)


class ServerState(Enum):
    """Where the way from the manifest to a serving API server ends."""

    SERVING = "serves with the manifest's command line"
    NEVER_STARTED = "never started: the kubelet makes no container of the manifest"
    CRASH_LOOPING = "crash looping: the container starts and ends again"
    NOT_READY = "started, but not ready"
    WRONG_PROCESS = "another process listens than the manifest's"
    STARTING = "the change is young: the kubelet is at work"
    UNKNOWN = "not serving, for a reason that left no trace"
    UNSEEN = "not to be seen without root"


class Evidence(NamedTuple):
    """What was seen. None and empty texts are unknown, never a no.

    ``process`` owns the listening socket of ``port`` (``is_older``: since before the manifest's last change); ``stray`` is the manifest beside ours whose command line it has;
    ``container`` is what the newest start since the manifest's last change said, ``kubelet`` what the kubelet said
    since; ``changed_seconds`` is how long ago the manifest was changed; ``live`` is False for a folder that no kubelet
    was started from. ``untrusted`` listens on the port in place of the API server.
    """

    port: int
    taken: bool = False
    process: Process | None = None
    as_manifest: bool = False
    is_older: bool = False
    stray: str = ""
    readiness: Readiness | None = None
    failing: tuple[str, ...] = ()
    container: Crash | None = None
    kubelet: Crash | None = None
    kubelet_runs: bool | None = None
    kubelet_log: str = ""
    sees_all: bool = True
    live: bool = True
    changed_seconds: float = 1e9
    untrusted: Untrusted | None = None


class Diagnosis(NamedTuple):
    """The verdict. ``crash`` is the program's words that it rests on, with the place in the user's own file."""

    state: ServerState
    check: str
    message: str
    fix: str = ""
    certain: bool = True
    crash: Crash | None = None


def judge(seen: Evidence) -> Diagnosis:
    """Say what is wrong, or that nothing is."""
    if seen.process is not None:
        return _of_a_server(seen, seen.process)
    if seen.taken and not seen.sees_all:
        text = f"something listens on port {seen.port}; whose it is only root can see"
        return Diagnosis(ServerState.UNSEEN, "process-unseen", text, "run it as root (sudo)", certain=False)
    return _of_no_server(seen)


def _of_a_server(seen: Evidence, process: Process) -> Diagnosis:
    if seen.is_older and seen.kubelet is not None and not seen.kubelet.heals:
        text = f"{_told(seen.kubelet)}; process {process.pid} is the old one, and is stopped within 20 s of the edit"
        return Diagnosis(ServerState.NEVER_STARTED, seen.kubelet.name, text, seen.kubelet.fix, crash=seen.kubelet)
    if not seen.as_manifest:
        return _of_another(seen, process)
    if seen.readiness in (Readiness.READY, None):
        return Diagnosis(ServerState.SERVING, "apiserver-ready", f"process {process.pid} serves as the manifest says")
    if seen.readiness is Readiness.UNKNOWN:
        text = (
            f"process {process.pid} runs as the manifest says; whether it is ready it tells neither us nor the kubelet"
        )
        return Diagnosis(ServerState.SERVING, "apiserver-ready", text, certain=False)
    if seen.failing:
        text = f"process {process.pid} listens, but is not ready: /readyz fails on {', '.join(seen.failing)}"
        return Diagnosis(
            ServerState.NOT_READY, "apiserver-ready", text, _readyz_fix(seen.failing), crash=seen.container
        )
    text = f"process {process.pid} listens, but /readyz does not answer 200"
    why = f"; its log: {seen.container}" if seen.container else ""
    fix = seen.container.fix if seen.container else "look at its log under /var/log/pods"
    # kube-apiserver listens before it reads its policy, so one that crash loops is met listening now and then
    check = seen.container.name if seen.container else "apiserver-ready"
    return Diagnosis(ServerState.NOT_READY, check, text + why, fix, certain=False, crash=seen.container)


def _readyz_fix(failing: tuple[str, ...]) -> str:
    if any(name.startswith("etcd") for name in failing):
        return "see that etcd runs and answers (its own log under /var/log/pods)"
    if any(name.startswith("poststarthook/") for name in failing):
        return "wait: these hooks finish within a minute of the start; if not, look at its log under /var/log/pods"
    return "look at its log under /var/log/pods"


def _of_another(seen: Evidence, process: Process) -> Diagnosis:
    """It serves, healthy and silent, with another command line than the manifest's."""
    if seen.stray:
        text = (
            f"process {process.pid} was started from {seen.stray}, not from the manifest: of equal names the last wins"
        )
        return Diagnosis(ServerState.WRONG_PROCESS, "wrong-process", text, "auditctl doctor --fix")
    old = f"process {process.pid} was not started with the manifest's command line"
    if seen.kubelet_runs is False:
        text = f"{old}, and no kubelet runs on this node to act on the manifest"
        return Diagnosis(ServerState.WRONG_PROCESS, "kubelet-not-running", text, "start the kubelet")
    if seen.changed_seconds < _JUST_NOW_SECONDS:
        text = f"{old}: it is the old one, which the kubelet is still to stop"
        return Diagnosis(ServerState.STARTING, "drift", text, "wait a minute, then ask again", certain=False)
    text = f"{old}: the kubelet reads another directory, or did not act on the manifest"
    return Diagnosis(ServerState.WRONG_PROCESS, "drift", text, "auditctl restart", certain=False)


def _of_no_server(seen: Evidence) -> Diagnosis:
    nobody = f"no kube-apiserver listens on port {seen.port}"
    container, refusal = seen.container, seen.kubelet
    if seen.untrusted is not None:
        text = seen.untrusted.on(seen.port)
        return Diagnosis(ServerState.WRONG_PROCESS, "untrusted-listener", text, seen.untrusted.fix, crash=container)
    if container is not None and container.certain:
        return Diagnosis(ServerState.CRASH_LOOPING, container.name, _told(container), container.fix, crash=container)
    if refusal is not None and not refusal.heals:
        return Diagnosis(ServerState.NEVER_STARTED, refusal.name, _told(refusal), refusal.fix, crash=refusal)
    if not seen.live:
        text = "no kubelet was started from this folder: what runs of it is not known"
        return Diagnosis(ServerState.UNSEEN, "live-node", text, certain=False)
    if seen.kubelet_runs is False:
        text = f"{nobody}, and no kubelet runs on this node to start it"
        return Diagnosis(ServerState.UNKNOWN, "kubelet-not-running", text, "start the kubelet", crash=container)
    if seen.taken and seen.sees_all:
        text = f"port {seen.port} is held by a process that is no kube-apiserver of this node"
        return Diagnosis(
            ServerState.NOT_READY, "port", text, f"see who it is: ss -ltnp 'sport = :{seen.port}'", crash=container
        )
    of_refusal = (
        ServerState.CRASH_LOOPING if refusal is not None and refusal.name == "crash-loop" else ServerState.NEVER_STARTED
    )
    for state, crash in ((ServerState.CRASH_LOOPING, container), (of_refusal, refusal)):
        if crash is not None:
            return Diagnosis(state, crash.name, _told(crash), crash.fix, certain=False, crash=crash)
    if seen.changed_seconds < _JUST_NOW_SECONDS:
        text = f"{nobody} yet: the manifest was changed {seen.changed_seconds:.0f} s ago"
        return Diagnosis(ServerState.STARTING, "apiserver-ready", text, "wait a minute, then ask again", certain=False)
    unread = "" if seen.kubelet_log else "; the kubelet's log was not found"
    text = f"{nobody}, and neither its containers nor the kubelet left a word since the manifest was changed{unread}"
    return Diagnosis(
        ServerState.UNKNOWN, "apiserver-ready", text, "look at the kubelet: journalctl -u kubelet -e", certain=False
    )


def _told(crash: Crash) -> str:
    """Cause and own words; the place stands beside it in a finding."""
    return str(crash._replace(place=None))
