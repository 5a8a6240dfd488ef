"""Take, renew and give back the Lease by which control planes restart their API servers one after the other.

The Lease is kube-system/auditctl. Its holder is the node and the change, its duration follows the deadline of the change,
so that a run that dies frees it by that time. Every write names the resourceVersion that was read
(apiserver pkg/registry/generic/registry/store.go: another version is a 409), so of two runs only one can take it.

Requests go to this node's own API server first, and to the other ones while it restarts: all of them share one storage.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from auditctl.compatibility import datetime_of
from auditctl.node.apiserver.client import Endpoint
from auditctl.node.apiserver.credentials import Credentials
from auditctl.transport import HttpAnswer

NAMESPACE, NAME = "kube-system", "auditctl"
WHERE = f"Lease {NAMESPACE}/{NAME}"
_LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
_LEASE = f"{_LEASES}/{NAME}"
_SKEW = timedelta(seconds=10)  # the clocks of two nodes may differ by as much
_SECONDS = 5.0
_ATTEMPTS = 3  # a write may lose the race, or its answer may be lost
_TRY_ANOTHER = frozenset([0, 429, 500, 502, 503, 504])  # this server cannot answer now; another one may


class Holder(NamedTuple):
    """The node and the change that hold the Lease, written as ``NODE_CHANGE`` (no name of a node has a ``_``)."""

    node: str
    change: str

    @classmethod
    def parse(cls, text: str) -> Holder:
        """Return the holder that a ``holderIdentity`` names."""
        node, _, change = text.partition("_")
        return cls(node, change)

    def __str__(self) -> str:
        return f"{self.node}_{self.change}"


class Lease(NamedTuple):
    """The Lease as it was read. ``until`` is when it ends by itself, None where it does not say so."""

    holder: str
    acquired: str
    until: datetime | None
    version: str
    uid: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Lease:
        """Return the Lease of the API's object; raise KeyError, TypeError or ValueError for another one."""
        spec, metadata = row.get("spec") or {}, row["metadata"]
        renewed, seconds = spec.get("renewTime"), spec.get("leaseDurationSeconds")
        until = _moment(str(renewed)) + timedelta(seconds=int(seconds)) if renewed and seconds else None
        holder, acquired = str(spec.get("holderIdentity") or ""), str(spec.get("acquireTime") or "")
        return cls(holder, acquired, until, str(metadata["resourceVersion"]), str(metadata.get("uid") or ""))

    def is_free(self, now: datetime) -> bool:
        """Tell whether nobody holds it (any more)."""
        return not self.holder or self.until is None or now > self.until + _SKEW


class Taken(NamedTuple):
    """The Lease is held by the caller."""


class HeldElsewhere(NamedTuple):
    """Another control plane holds the Lease."""

    lease: Lease


class Unavailable(NamedTuple):
    """The API does not give the Lease; ``reason`` says why. ``is_down``: no API server answered."""

    reason: str
    is_down: bool = False


class LeaseStore(NamedTuple):
    """The API servers that can be asked for the Lease, the nearest first, and the credentials."""

    servers: tuple[Endpoint, ...]
    credentials: Credentials

    def read(self) -> Lease | Unavailable | None:
        """Return the Lease, None where there is none."""
        return _read_lease(self._send("GET", _LEASE))

    def take(self, holder: Holder, seconds: float, now: datetime) -> Taken | HeldElsewhere | Unavailable:
        """Take the Lease for that many seconds, unless another node holds it.

        One that this very node holds is taken over: the caller has the lock of the node, so the run that took it is gone.
        """
        last = Unavailable("the API server does not answer", is_down=True)
        for _ in range(_ATTEMPTS):
            there = self.read()
            if isinstance(there, Unavailable):
                return there
            if there is not None and there.holder == str(holder):  # our write was done, and its answer lost
                return Taken()
            if there is not None and not there.is_free(now) and Holder.parse(there.holder).node != holder.node:
                return HeldElsewhere(there)
            answer = self._write(there, str(holder), seconds, now)
            if answer.status in (200, 201):
                return Taken()
            last = _refusal(answer)
            if answer.status != 409 and answer.status not in _TRY_ANOTHER:
                return last
        return last

    def renew(self, holder: Holder, seconds: float, now: datetime) -> bool:
        """Extend the Lease to that many seconds from now if the holder still has it; return whether it does."""
        there = self.read()
        if not isinstance(there, Lease) or there.holder != str(holder):
            return False
        return self._write(there, str(holder), seconds, now).status == 200

    def give_back(self, holder: Holder) -> bool:
        """Remove the Lease if the holder still has it; return whether it is free of that holder now."""
        for _ in range(_ATTEMPTS):
            there = self.read()
            if isinstance(there, Unavailable):
                return False
            if there is None or there.holder != str(holder):
                return True
            condition = {"resourceVersion": there.version, **({"uid": there.uid} if there.uid else {})}
            body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": condition}
            answer = self._send("DELETE", _LEASE, body)
            if answer.status in (200, 202, 404):
                return True
            if answer.status != 409 and answer.status not in _TRY_ANOTHER:
                return False
        return False

    def _write(self, there: Lease | None, holder: str, seconds: float, now: datetime) -> HttpAnswer:
        """Create the Lease, or replace the version that was read."""
        moment = f"{now:%Y-%m-%dT%H:%M:%S.%f}Z"
        metadata: dict[str, str] = {"name": NAME, "namespace": NAMESPACE}
        spec: dict[str, Any] = {"holderIdentity": holder, "leaseDurationSeconds": max(1, round(seconds))}
        is_renewed = there is not None and there.holder == holder and there.acquired
        spec |= {"acquireTime": there.acquired if there is not None and is_renewed else moment, "renewTime": moment}
        if there is not None:
            metadata["resourceVersion"] = there.version
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        return self._send("POST", _LEASES, body) if there is None else self._send("PUT", _LEASE, body)

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> HttpAnswer:
        """Return the first answer of a server that can give one."""
        content = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"} if body is not None else {}
        answer = HttpAnswer(0, "no API server to ask")
        for server in self.servers:
            answer = server.request(
                method, path, credentials=self.credentials, headers=headers, timeout=_SECONDS, body=content
            )
            if answer.status not in _TRY_ANOTHER:
                break
        return answer


def _read_lease(answer: HttpAnswer) -> Lease | Unavailable | None:
    if answer.status == 404:
        return None
    if answer.status != 200:
        return _refusal(answer)
    try:
        return Lease.of(json.loads(answer.body))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return Unavailable(f"the API answers something else than a Lease for {NAMESPACE}/{NAME}")


def _refusal(answer: HttpAnswer) -> Unavailable:
    """Return the reason in words; the text of an answer is not repeated, its status is."""
    if answer.status in (401, 403):
        return Unavailable(f"the credentials have no rights for {WHERE} ({answer.status} {answer.reason})")
    if answer.status == 0:
        return Unavailable("the API server does not answer", is_down=True)
    return Unavailable(f"the API server answered {answer.status} {answer.reason}")


def _moment(text: str) -> datetime:
    """Return a MicroTime of the API (apimachinery pkg/apis/meta/v1/micro_time.go); raise ValueError for another text."""
    moment = datetime_of(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment
