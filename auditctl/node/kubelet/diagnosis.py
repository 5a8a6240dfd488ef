"""Judge why the API server is not as its manifest says. Pure: the evidence is given, nothing is read here.

What is certain is a program's own last words, or what the kernel shows; everything else is said to be a guess.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from enum import Enum

from auditctl.node.apiserver.client import Readiness
from auditctl.node.apiserver.crash import Crash
from auditctl.node.apiserver.process import Process
from auditctl.node.trusted_process import Untrusted

_JUST_NOW_SECONDS = (
    60.0  # a replaced Pod usually takes less, the kubelet's 30 s of grace (TerminationGracePeriod) included
)
UNSEEN = "no kubelet was started from this folder, so the state of an API server is not known"
_START_KUBELET = "start the kubelet (see: systemctl status kubelet)"


class ServerState(Enum):
    """How far the API server came on the way from its manifest to ready."""

    SERVING = "ready, with the manifest's command line"
    NEVER_STARTED = "never started: the kubelet makes no container of the manifest"
    CRASH_LOOPING = "crash looping: the container starts and ends again"
    NOT_READY = "started, but not ready"
    WRONG_PROCESS = "running with other flags than the manifest's"
    UNTRUSTED = "not running: another process listens on its port"
    STARTING = "starting: the manifest was changed less than a minute ago"
    NO_MANIFEST = "its manifest is not there"
    NO_KUBELET = "no kubelet acts on the manifest"
    UNKNOWN = "not running, for a reason that left no trace"
    UNSEEN = "not visible from here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Recorded evidence. None and empty texts are unknown, never a no.

    ``process`` owns the listening socket of ``port`` (``is_older``: since before the manifest's last change); ``stray`` is the manifest beside ours whose command line it has;
    ``container`` is what the newest start since the manifest's last change said, ``kubelet`` what the kubelet said
    since; ``changed_seconds`` is how long ago the manifest was changed; ``live`` is False for a folder that no kubelet
    was started from. ``stopped_kubelet`` is the pid of
    one that a signal has stopped. ``has_manifest`` is False where no file of its name is there. ``untrusted`` listens on the port in
    place of the API server.
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
    stopped_kubelet: int = 0
    kubelet_log: str = ""
    sees_all: bool = True
    live: bool = True
    changed_seconds: float = 1e9
    has_manifest: bool = True
    untrusted: Untrusted | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The verdict. ``crash`` is the program's words that it rests on, with the place in the user's own file."""

    state: ServerState
    check: str
    message: str
    fix: str = ""
    _: KW_ONLY
    certain: bool = True
    crash: Crash | None = None


def judge(evidence: Evidence) -> Diagnosis:
    """Return what is wrong with the API server, or that nothing is."""
    if evidence.process is not None:
        return _of_a_server(evidence, evidence.process)
    if evidence.taken and not evidence.sees_all:
        text = f"something listens on port {evidence.port}; only root can see which process it is"
        return Diagnosis(
            state=ServerState.UNSEEN, check="process-unseen", message=text, fix="run it as root (sudo)", certain=False
        )
    return _of_no_server(evidence)


def _of_a_server(evidence: Evidence, process: Process) -> Diagnosis:
    if evidence.is_older and evidence.kubelet is not None and not evidence.kubelet.heals:
        text = f"{_cause(evidence.kubelet)}; process {process.pid} is from before the edit, and the kubelet stops it within 20 s of the edit"
        return Diagnosis(
            state=ServerState.NEVER_STARTED,
            check=evidence.kubelet.name,
            message=text,
            fix=evidence.kubelet.fix,
            crash=evidence.kubelet,
        )
    if not evidence.as_manifest:
        return _of_another(evidence, process)
    if evidence.readiness in (Readiness.READY, None):
        return Diagnosis(
            state=ServerState.SERVING,
            check="apiserver-ready",
            message=f"process {process.pid} is ready, with the flags of the manifest",
        )
    if evidence.readiness is Readiness.UNKNOWN:
        text = f"process {process.pid} runs with the flags of the manifest; /readyz answers neither us nor the kubelet (401 or 403)"
        return Diagnosis(state=ServerState.SERVING, check="apiserver-ready", message=text, certain=False)
    if evidence.failing:
        text = f"process {process.pid} listens, but is not ready: /readyz fails on {', '.join(evidence.failing)}"
        return Diagnosis(
            state=ServerState.NOT_READY,
            check="apiserver-ready",
            message=text,
            fix=_readyz_fix(evidence.failing),
            crash=evidence.container,
        )
    text = f"process {process.pid} listens, but /readyz does not answer 200"
    why = f"; its log: {evidence.container}" if evidence.container else ""
    fix = evidence.container.fix if evidence.container else "see its log under /var/log/pods"
    # kube-apiserver listens before it reads its policy, so one that crash loops is met listening now and then
    check = evidence.container.name if evidence.container else "apiserver-ready"
    return Diagnosis(
        state=ServerState.NOT_READY, check=check, message=text + why, fix=fix, certain=False, crash=evidence.container
    )


def _readyz_fix(failing: tuple[str, ...]) -> str:
    if any(name.startswith("etcd") for name in failing):
        return "check etcd: its own log is under /var/log/pods"
    if any(name.startswith("poststarthook/") for name in failing):
        return "wait: these hooks finish within a minute of the start; if not, see its log under /var/log/pods"
    return "see its log under /var/log/pods"


def _of_another(evidence: Evidence, process: Process) -> Diagnosis:
    """Judge a server that is ready, but runs with another command line than the manifest's."""
    if not evidence.has_manifest:
        text = f"process {process.pid} still runs; its manifest is not there, so the kubelet ends it within 20 s"
        return Diagnosis(state=ServerState.NO_MANIFEST, check="manifest-missing", message=text, fix="auditctl doctor")
    if evidence.stray:
        text = f"process {process.pid} was started from {evidence.stray}, not from the manifest: of several manifests of one Pod the last name in byte order wins"
        return Diagnosis(
            state=ServerState.WRONG_PROCESS, check="wrong-process", message=text, fix="auditctl doctor --fix"
        )
    other = f"process {process.pid} was not started with the manifest's command line"
    if evidence.kubelet_runs is False:
        text = f"{other}, and no kubelet runs on this node to act on the manifest"
        return Diagnosis(
            state=ServerState.WRONG_PROCESS,
            check="kubelet-not-running",
            message=text,
            fix=_START_KUBELET,
        )
    if evidence.changed_seconds < _JUST_NOW_SECONDS:
        text = f"{other}: the kubelet has not replaced it yet"
        return Diagnosis(
            state=ServerState.STARTING,
            check="drift",
            message=text,
            fix="wait a minute, then run this again",
            certain=False,
        )
    text = f"{other}: the kubelet reads another directory, or did not act on the manifest"
    return Diagnosis(
        state=ServerState.WRONG_PROCESS, check="drift", message=text, fix="auditctl restart", certain=False
    )


def _of_no_server(evidence: Evidence) -> Diagnosis:
    nobody = f"no kube-apiserver listens on port {evidence.port}"
    container, refusal = evidence.container, evidence.kubelet
    if evidence.untrusted is not None:
        text = evidence.untrusted.on(evidence.port)
        return Diagnosis(
            state=ServerState.UNTRUSTED,
            check="untrusted-listener",
            message=text,
            fix=evidence.untrusted.fix,
            crash=container,
        )
    if not evidence.has_manifest and evidence.live:
        text = f"{nobody}: the manifest is not there, so the kubelet runs none"
        return Diagnosis(state=ServerState.NO_MANIFEST, check="manifest-missing", message=text, fix="auditctl doctor")
    if container is not None and container.certain:
        return _by_crash(ServerState.CRASH_LOOPING, container)
    if refusal is not None and not refusal.heals:
        return _by_crash(ServerState.NEVER_STARTED, refusal)
    if not evidence.live and (guess := _guess(container, refusal)) is not None:
        return guess
    if not evidence.live:
        return Diagnosis(state=ServerState.UNSEEN, check="live-node", message=UNSEEN, certain=False)
    return _without_words(evidence, nobody)


def _by_crash(state: ServerState, crash: Crash) -> Diagnosis:
    """Return the diagnosis that rests on the last words of a container or of the kubelet."""
    return Diagnosis(state=state, check=crash.name, message=_cause(crash), fix=crash.fix, crash=crash)


def _without_words(evidence: Evidence, nobody: str) -> Diagnosis:
    """Diagnose a live node where no log line is a certain cause: the kubelet, the port, then what is probable."""
    container, refusal = evidence.container, evidence.kubelet
    if evidence.kubelet_runs is False or evidence.stopped_kubelet:
        text, fix = f"{nobody}, and no kubelet runs on this node to start it", _START_KUBELET
        if pid := evidence.stopped_kubelet:
            text = f"{nobody}, and the kubelet (process {pid}) is stopped by a signal, so that it starts none"
            fix = f"kill -CONT {pid}, or restart the kubelet"
        return Diagnosis(
            state=ServerState.NO_KUBELET, check="kubelet-not-running", message=text, fix=fix, crash=container
        )
    if evidence.taken and evidence.sees_all:
        text = f"another process than a kube-apiserver of this node listens on port {evidence.port}"
        return Diagnosis(
            state=ServerState.NOT_READY,
            check="port",
            message=text,
            fix=f"ss -ltnp 'sport = :{evidence.port}'",
            crash=container,
        )
    if (guess := _guess(container, refusal)) is not None:
        return guess
    if evidence.changed_seconds < _JUST_NOW_SECONDS:
        text = f"{nobody} yet: the manifest was changed {evidence.changed_seconds:.0f} s ago"
        return Diagnosis(
            state=ServerState.STARTING,
            check="apiserver-ready",
            message=text,
            fix="wait a minute, then run this again",
            certain=False,
        )
    unread = "" if evidence.kubelet_log else "; the kubelet's log was not found"
    text = (
        f"{nobody}, and neither its containers nor the kubelet logged anything since the manifest was changed{unread}"
    )
    return Diagnosis(
        state=ServerState.UNKNOWN, check="apiserver-ready", message=text, fix="journalctl -u kubelet -e", certain=False
    )


def _guess(container: Crash | None, refusal: Crash | None) -> Diagnosis | None:
    """Return what words that time may mend, or that nobody knows, make probable; None where there are no words."""
    of_refusal = ServerState.NEVER_STARTED
    if refusal is not None and refusal.name == "crash-loop":
        of_refusal = ServerState.CRASH_LOOPING
    for state, crash in ((ServerState.CRASH_LOOPING, container), (of_refusal, refusal)):
        if crash is not None:
            return Diagnosis(
                state=state, check=crash.name, message=_cause(crash), fix=crash.fix, certain=False, crash=crash
            )
    return None


def _cause(crash: Crash) -> str:
    """Return cause and own words, without the place: a finding has it beside them."""
    return str(replace(crash, place=None))
