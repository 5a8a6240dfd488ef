"""Restart one control plane of a cluster at a time: take the cluster's Lease before the change, give it back after it.

Two runs that begin together both see the other control planes serve, and would both restart their own. So a run takes a
Lease, then asks the others once more, and only then touches the manifest. Where the Lease cannot be had (no rights for
it, no credentials, an API server that is down), the change goes on as it would without one, and a finding says so.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from auditctl.errors import InterruptionError, RefusedError
from auditctl.findings import Finding
from auditctl.node.apiserver import turn_lease
from auditctl.node.apiserver.turn_lease import HeldElsewhere, Holder, LeaseStore, Unavailable
from auditctl.node.change.change_id import new_id
from auditctl.node.change.journal import Journal
from auditctl.operations.change.cluster import Cluster, held
from auditctl.operations.change.preflight import is_live
from auditctl.operations.change.standby_remains import LONGEST_END_SECONDS, LONGEST_START_SECONDS
from auditctl.operations.change.two_renames import LONGEST_WAIT_SECONDS
from auditctl.operations.change_model import ChangeOptions, NoDowntime, PlannedChange, Restart, Session
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.policy_source import apply_allowances

_UNKNOWN_CHECK = "cluster-turn"
_GRACE_SECONDS = 60.0  # files, a diagnosis, the last requests
_RESTART_SECONDS = 60.0  # a restart that nobody waits for (--no-wait)
_POLL_SECONDS = 2.0  # and up to a second more, so that several that wait do not ask in step


@dataclass(slots=True)
class Turn:
    """The turn of one run. ``store`` None: no Lease is held, and the findings say why where that matters."""

    plane: ControlPlane
    change_id: str = ""
    identity: str = ""
    store: LeaseStore | None = None
    findings: tuple[Finding, ...] = ()

    def renew(self, seconds: float) -> None:
        """Keep the Lease for that many seconds from now on, if it is still ours; it raises nothing."""
        if self.store is not None:
            self.store.renew(Holder.parse(self.identity), seconds + _GRACE_SECONDS, self.plane.clock.utc())

    def give_back(self) -> None:
        """Remove the Lease if it is still ours; else it ends by itself."""
        if self.store is not None:
            self.store.give_back(Holder.parse(self.identity))
            self.store = None

    def leave(self, seconds: float) -> None:
        """Keep the Lease for a restart that nobody waits for; it ends by itself."""
        if self.store is not None:
            self.store.renew(Holder.parse(self.identity), seconds, self.plane.clock.utc())
            self.store = None


@contextmanager
def turn(opened: Session, planned: PlannedChange, options: ChangeOptions) -> Iterator[Turn]:
    """Yield the turn of a change. Afterwards it is given back, unless a watchdog goes on with the change.

    Raises:
        RefusedError: another control plane is being changed, or does not serve; nothing was changed.
        InterruptionError: the user asked to stop while this waited; nothing was changed.
    """
    plane = opened.plane
    is_needed = planned.restart is not Restart.NONE and is_live(plane, planned.before, options)
    own = _wait(opened, planned, options) if is_needed else Turn(plane)
    try:
        yield own
    finally:
        if not plane.state.open_changes():
            own.give_back() if options.wait else own.leave(_RESTART_SECONDS)


def _wait(opened: Session, planned: PlannedChange, options: ChangeOptions) -> Turn:
    """Return the turn as soon as it can be had; raise RefusedError where that takes longer than the user allows."""
    plane, clock = opened.plane, opened.plane.clock
    began = clock.monotonic()
    change_id = new_id(clock, max((folder.name for folder in plane.state.folders()), default=""))
    while True:
        try:
            return _take(plane, planned, options, change_id)
        except RefusedError as refusal:
            waited = clock.monotonic() - began
            if waited >= options.turn_seconds:
                raise
            plane.progress.waiting(f"waiting for the turn of this node: {refusal.message}", waited)
        _pause(opened)


def _pause(opened: Session) -> None:
    """Sleep until the next attempt.

    Raises:
        InterruptionError: the user asked to stop.
    """
    clock = opened.plane.clock
    until = clock.monotonic() + _POLL_SECONDS + secrets.randbelow(1000) / 1000
    while clock.monotonic() < until:
        if opened.deadline.interrupted():
            raise InterruptionError("interrupted while waiting for the turn of this node; nothing was changed")
        clock.sleep(0.2)


def _take(plane: ControlPlane, planned: PlannedChange, options: ChangeOptions, change_id: str) -> Turn:
    """Take the Lease, then ask the other control planes again: the first look was before the plan was shown.

    Raises:
        RefusedError: another control plane is being changed, or does not serve.
    """
    cluster = Cluster.of(plane, planned.before)
    if not cluster.may_have_others:
        plane.progress.step(_alone(cluster))
        return Turn(plane)
    holder = Holder(cluster.node, change_id)
    own = _turn_of(plane, cluster, holder, options)
    try:
        apply_allowances(cluster.look(), options)
    except RefusedError:
        own.give_back()
        raise
    return own


def _turn_of(plane: ControlPlane, cluster: Cluster, holder: Holder, options: ChangeOptions) -> Turn:
    """Return the turn of a run that may go on: with the Lease, or without one and a finding that says why."""
    taken = cluster.store.take(holder, _seconds(options), plane.clock.utc())
    if isinstance(taken, HeldElsewhere):
        return Turn(plane, findings=apply_allowances((held(taken.lease),), options))
    if isinstance(taken, Unavailable):
        return Turn(plane, findings=(_not_taken(taken),))
    plane.progress.step(f"{holder.node} holds the {turn_lease.WHERE}: no other control plane is changed meanwhile")
    return Turn(plane, holder.change, str(holder), cluster.store)


def _not_taken(answer: Unavailable) -> Finding:
    """Return the finding about a change that goes on without the Lease; one of a server that is down takes nothing away."""
    text = f"the {turn_lease.WHERE} was not taken: {answer.reason}"
    if answer.is_down:
        return Finding.note(_UNKNOWN_CHECK, text)
    text += ". A change of another control plane at the same time would not be noticed"
    fix = "change one control plane at a time; `auditctl help clusters` has the rights that the Lease needs"
    return Finding.warning(_UNKNOWN_CHECK, text, fix)


def _alone(cluster: Cluster) -> str:
    if cluster.credentials.anonymous:
        return f"there are no credentials, so no {turn_lease.WHERE} is taken: other control planes are not known"
    return "one control plane: no Lease"


def _seconds(options: ChangeOptions) -> float:
    """Return how long the Lease is taken for: to the deadline of the change; an undo extends it."""
    standby = LONGEST_START_SECONDS + LONGEST_END_SECONDS if options.no_downtime is not NoDowntime.OFF else 0.0
    drain = options.drain_seconds or 0.0
    return options.timeout_seconds + drain + LONGEST_WAIT_SECONDS + standby + _GRACE_SECONDS


def give_back_left(plane: ControlPlane, journal: Journal) -> None:
    """Remove the Lease of an interrupted change that is over now; where that does not go it ends by itself."""
    if not journal.turn:
        return
    try:
        manifest = plane.read_manifest()[1]
        store = LeaseStore((plane.endpoint(manifest),), plane.credentials())
    except RefusedError:
        return
    store.give_back(Holder.parse(journal.turn))
