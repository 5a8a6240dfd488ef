"""How long the kubelet waits before it starts a container again (client-go/util/flowcontrol/backoff.go).

Sources: pkg/kubelet/kuberuntime/kuberuntime_manager.go doBackOff, client-go util/flowcontrol/backoff.go. Seen on a real
1.36.3: the first restart at once, then 10, 20, 40 s after the exit; a Pod that is restored byte for byte has its old UID
and its old delay, although its logs begin at 0.log again.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Delays by key, in seconds: ``first``, doubled with every start up to ``cap``, forgotten after two caps of quiet.

    A key is a Pod's UID and a container's name. All times are of one monotonic clock.
    """

    first: float
    cap: float
    _entries: dict[str, tuple[float, float]] = field(default_factory=dict)  # key: delay, when it was last doubled

    def delay(self, key: str, ended: float) -> float:
        """How long after its end at ``ended`` the container may start again; 0 is at once."""
        delay, updated = self._entries.get(key, (0.0, ended))
        return 0.0 if ended - updated > 2 * self.cap else delay

    def restarted(self, key: str, ended: float, now: float) -> None:
        """The container that ended at ``ended`` starts again ``now``: the next time it takes longer."""
        delay = self.delay(key, ended)
        self._entries[key] = (min(delay * 2, self.cap) if delay else min(self.first, self.cap), now)


def go_duration(seconds: float) -> str:
    """As Go prints a duration: ``10s``, ``2m40s``, ``300ms``."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:g}m{rest:g}s" if minutes else f"{rest:g}s"
