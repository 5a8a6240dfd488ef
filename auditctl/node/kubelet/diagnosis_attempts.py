"""The newest starts of the API server's container, read as they write: each look takes only what is new."""

from __future__ import annotations

from dataclasses import dataclass, field

from auditctl.node.apiserver.crash import Crash, Line, recognised
from auditctl.node.change.files import Root
from auditctl.node.kubelet import pod_logs
from auditctl.node.kubelet.kubelet_log import TAIL_BYTES, Appended
from auditctl.node.kubelet.pod_logs import ContainerLog, PodName

Identity = tuple[str, int, int]
_MOST_READ = 3  # the newest may have said nothing yet; what the one before it died of stands until then


@dataclass(slots=True)
class _Attempt:
    """One start: where its log was read to, unfinished parts of lines, and the weightiest thing that it said."""

    file: Appended
    parts: dict[str, str] = field(default_factory=dict)
    crash: Crash | None = None

    def read(self) -> None:
        for at, text in pod_logs.joined(self.file.lines(), self.parts):
            crash = recognised(Line.of(text, at))
            if crash is not None and crash.outweighs(self.crash):
                self.crash = crash


@dataclass(slots=True)
class Attempts:
    """The container's starts that are not among ``known`` (path, device, inode), nor of the Pod ``ignored_uid``."""

    root: Root
    pod: PodName
    known: frozenset[Identity] = frozenset()
    ignored_uid: str = ""
    _read: dict[Identity, _Attempt] = field(default_factory=dict)

    @classmethod
    def from_now(cls, root: Root, pod: PodName, *, broken: bool) -> Attempts:
        """Only starts that are still to come.

        ``broken``: no server runs now; what its Pod still says is of the configuration that goes.
        """
        logs = pod_logs.logs_of(root, pod)
        return cls(root, pod, frozenset(log.identity for log in logs), logs[-1].uid if broken and logs else "")

    def look(self) -> Crash | None:
        """Read on; what the newest start that said anything has said so far."""
        fresh = [log for log in pod_logs.logs_of(self.root, self.pod) if self._counts(log)][-_MOST_READ:]
        said = [attempt.crash for attempt in map(self._attempt, fresh) if attempt.crash is not None]
        return said[-1] if said else None

    def _attempt(self, log: ContainerLog) -> _Attempt:
        if log.identity not in self._read:
            self._read[log.identity] = _Attempt(Appended(log.path, TAIL_BYTES))
        attempt = self._read[log.identity]
        attempt.read()
        return attempt

    def _counts(self, log: ContainerLog) -> bool:
        return log.identity not in self.known and (not self.ignored_uid or log.uid != self.ignored_uid)
