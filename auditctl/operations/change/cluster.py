"""The cluster around this node: its other control planes, and the Lease by which one at a time is changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from socket import gethostname
from typing import NamedTuple

from auditctl.findings import Finding, Severity
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver import other_control_planes, turn_lease
from auditctl.node.apiserver.client import Endpoint
from auditctl.node.apiserver.credentials import Credentials
from auditctl.node.apiserver.other_control_planes import ClusterServers
from auditctl.node.apiserver.turn_lease import Holder, Lease, LeaseStore
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane

TURN_CHECK = "turn-held"
_FREE = f"kubectl -n {turn_lease.NAMESPACE} delete lease {turn_lease.NAME}"


class Cluster(NamedTuple):
    """The cluster as this node reaches it. ``servers`` None: which control planes there are is not known."""

    endpoint: Endpoint
    credentials: Credentials
    servers: ClusterServers | None

    @classmethod
    def of(cls, plane: ControlPlane, manifest: Manifest) -> Cluster:
        """Ask this node's own API server for the control planes.

        Raises:
            RefusedError: the manifest names an address that is not this machine's.
        """
        endpoint, credentials = plane.endpoint(manifest), plane.credentials()
        advertised = manifest.flag("advertise-address") or ""
        return cls(endpoint, credentials, other_control_planes.read(endpoint, credentials, advertised))

    @property
    def may_have_others(self) -> bool:
        """Tell whether there may be another control plane, and credentials to ask for it."""
        return not self.credentials.anonymous and (self.servers is None or bool(self.servers.others))

    @property
    def node(self) -> str:
        """Return the name of this node; the machine's own where the API does not tell it."""
        return self.servers.own if self.servers is not None else gethostname().lower().replace("_", "-")

    @property
    def store(self) -> LeaseStore:
        """Return the servers to ask for the Lease: this node's own, then the others, which serve while it restarts."""
        others = self.servers.others if self.servers is not None else ()
        more = (Endpoint(one.address, one.port, self.endpoint.authorities) for one in others if one.address)
        return LeaseStore((self.endpoint, *more), self.credentials)

    def look(self) -> tuple[Finding, ...]:
        """Ask the API server of each other control plane whether it serves; return what they say."""
        if self.servers is None:
            return ()
        problems = [other_control_planes.problem(one, self.endpoint, self.credentials) for one in self.servers.others]
        return tuple(other_control_planes.judged(self.servers, problems))

    def held_elsewhere(self, now: datetime) -> Lease | None:
        """Return the Lease if another control plane holds it now."""
        if not self.may_have_others:
            return None
        there = self.store.read()
        if not isinstance(there, Lease) or there.is_free(now) or Holder.parse(there.holder).node == self.node:
            return None
        return there

    def findings(self, options: ChangeOptions, now: datetime) -> Iterator[Finding]:
        """Yield what the other control planes mean for a change of this one.

        A run that may wait (``turn_seconds``) asks again when it has its turn: what is in the way now does not refuse it.
        A dry run does not wait, so it refuses what is no other run's doing.
        """
        looked = self.look()
        lease = self.held_elsewhere(now)  # read after the look: who is down for a change has taken it before
        rows = (*looked, *((held(lease),) if lease is not None else ()))
        is_waiting = options.turn_seconds > 0 and (lease is not None or not options.dry_run)
        for finding in sorted(rows, key=lambda row: row.check != TURN_CHECK):
            if is_waiting and finding.severity is Severity.ERROR:
                text = f"this change has to wait: {finding.message}"
                yield replace(finding, severity=Severity.INFO, message=text, fix="")
            else:
                yield finding


def held(lease: Lease) -> Finding:
    """Return the error for a Lease that another control plane holds."""
    holder = Holder.parse(lease.holder)
    whose = f"control plane {holder.node} is being changed" + (f" (change {holder.change})" if holder.change else "")
    until = f" until {lease.until:%H:%M:%S} UTC at the latest" if lease.until is not None else ""
    fix = f"wait for it with --wait-for-turn 10m; if {holder.node} is gone for good: {_FREE}"
    return Finding.error(TURN_CHECK, f"{whose}: it holds the {turn_lease.WHERE}{until}", fix)
