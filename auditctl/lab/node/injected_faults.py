"""Slow and failing starts, on demand: what no manifest can cause, switched by one file of the node.

`Faults(...).save(layout)` writes DIR/var/lib/auditctl-lab/faults.json, one JSON object of the fields below; `clear` takes
it away. The kubelet reads it all the time, a server at its start and, for its health, at every request.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from auditctl.lab.node.layout import Layout
from auditctl.node.change.files import replace_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Every time is in seconds as it passes, not scaled. All but ``kubelet_idle`` and ``held_port_seconds`` concern only
    servers with an argument that begins with ``only_with`` (`--audit-`, say: so that the way back leads to health).
    """

    only_with: str = ""
    start_seconds: float = 0.0  # longer from the exec to the first answer
    never_ready: bool = False  # /livez is well, /readyz never
    failing_checks: tuple[str, ...] = ()  # these checks of /readyz fail
    etcd_refused: bool = False  # never answers, and ends after `Timing.etcd` as one whose etcd is away
    dies_after_seconds: float | None = None  # after its start, of a hook that fails
    held_port_seconds: float = 0.0  # an old server that must go keeps the port that long, and nobody waits for it
    disk_full: bool = False  # every write to the audit log fails
    forbidden_resources: tuple[str, ...] = ()  # nobody has rights for them ("leases")
    storage_hangs: bool = False  # /readyz is well, and requests that read objects are answered with 504
    kubelet_idle: bool = False  # the kubelet sees and does nothing

    def concern(self, arguments: Sequence[str]) -> bool:
        """Tell whether a server with these arguments is meant."""
        return not self.only_with or any(argument.startswith(self.only_with) for argument in arguments)

    def save(self, layout: Layout) -> None:
        """Switch them on, in place of any others."""
        replace_file(_path(layout), (json.dumps(asdict(self), indent=2) + "\n").encode(), None)

    @classmethod
    def load(cls, layout: Layout) -> Faults:
        """Return the faults; none where no file is, or one that nobody can read."""
        with suppress(OSError, ValueError, TypeError):
            fields = json.loads(_path(layout).read_text(encoding="utf-8"))
            lists = {name: tuple(fields.get(name, ())) for name in ("failing_checks", "forbidden_resources")}
            return cls(**{**fields, **lists})
        return cls()


def clear(layout: Layout) -> None:
    """Switch all of them off."""
    _path(layout).unlink(missing_ok=True)


def _path(layout: Layout) -> Path:
    return layout.processes.parent / "faults.json"
