"""What the journal of a finished change keeps of its outage."""

from __future__ import annotations

from auditctl.findings import Timings
from auditctl.node.change.journal import FileRecord, Journal, Role, Step
from auditctl.operations.change.watchdog_notice import outage_note, outage_of

MANIFEST = FileRecord(role=Role.MANIFEST, path="/etc/kubernetes/manifests/kube-apiserver.yaml", before="a", after="b")
PLANNED = Journal(id="1", command="enable", started="2026-12-01T00:00:00Z", who={}, files=(MANIFEST,))
WAITING = (("planned", "t", ""), ("waiting", "t", ""))


def done(note: str) -> Journal:
    return Journal(
        **{
            **{name: getattr(PLANNED, name) for name in ("id", "command", "started", "who", "files")},
            "step": Step.DONE,
            "steps": (*WAITING, ("done", "t", note)),
        }
    )


def test_the_outage_is_kept_with_the_last_step() -> None:
    """A change without a restart has none; of one that a watchdog ended it is not known."""
    assert outage_of(done(outage_note(Timings(outage=5.44)))) == 5.4
    assert outage_of(done(outage_note(Timings()))) is None
    assert outage_of(done("left to do: auditctl kubeadm persist, by the watchdog")) is None
    assert outage_of(PLANNED) is None
