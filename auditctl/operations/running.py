"""What runs now: the process, the policy that it has loaded, and the proof that it records. For `verify` and for graders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.findings import Check, Status
from auditctl.manifest.pod import Manifest
from auditctl.node import files, preflight
from auditctl.node.diagnosis_recording import records_anything
from auditctl.node.loaded import written_since
from auditctl.node.process import Process, listener, untrusted_listener
from auditctl.operations import counters, lastgood, policies, proof
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.work import How, Patience, Proof
from auditctl.policy.load import load
from auditctl.policy.types import Policy
from auditctl.settings import LOG_FLAG, POLICY_FLAG, WEBHOOK_FLAG

STALE = "the policy file was written after the API server had started, which has not read what stands there now"


class Loaded(NamedTuple):
    """The policy that counts, and whether it is known to be what the process runs.

    ``edited``: the file holds something else, or was touched since the start; ``stale``: it was written since, so that
    what stands there is not what was read.
    """

    policy: Policy | None
    known: bool
    edited: bool
    stale: bool = False


class Running(NamedTuple):
    """The manifest, the process that serves on its port (None: nobody does), and the policy."""

    plane: ControlPlane
    manifest: Manifest
    process: Process | None
    loaded: Loaded

    @classmethod
    def look(cls, plane: ControlPlane, manifest: Manifest) -> Running:
        """What serves now for this manifest."""
        process = listener(manifest.secure_port, manifest)
        return cls(plane, manifest, process, _loaded(plane, manifest, process))

    @property
    def is_of_manifest(self) -> bool:
        """Was the process started with the manifest's command line?"""
        return self.process is not None and self.process.runs(self.manifest.command)

    def state(self) -> Iterator[Check]:
        """Is auditing on in the manifest, and does the process run with it?"""
        manifest, process = self.manifest, self.process
        on = manifest.flag(POLICY_FLAG) and (manifest.flag(LOG_FLAG) or manifest.flag(WEBHOOK_FLAG))
        yield Check(
            "enabled",
            Status.PASSED if on else Status.FAILED,
            "the manifest sets a policy and a backend" if on else "the manifest does not switch auditing on",
        )
        if process is None:
            stranger = untrusted_listener(manifest.secure_port, manifest)
            text = f"no kube-apiserver of this machine listens on port {manifest.secure_port}"
            text = text if stranger is None else stranger.on(manifest.secure_port)
            yield Check("process", Status.FAILED, text)
        elif self.is_of_manifest:
            yield Check("process", Status.PASSED, f"process {process.pid} was started with the manifest's command line")
        else:
            text = f"process {process.pid} was not started with the manifest's command line"
            yield Check("process", Status.FAILED, text)

    def prove(self) -> Proof:
        """Take the receipt; an empty proof where there is nothing to ask.

        Raises:
            RefusedError: ``--kubeconfig`` names something that is not a kubeconfig.
        """
        plane, manifest, process, policy = self.plane, self.manifest, self.process, self.loaded.policy
        if process is None or policy is None:
            return Proof()
        planned = proof.plan(plane, manifest, policy, None)
        counted = counters.read(plane, manifest)
        patience = Patience(plane.clock.monotonic() + How().timeout_seconds)
        done = proof.prover(plane, manifest, planned)(process, patience)
        if planned.unprovable and not records_anything(policy):
            return Proof((Check("receipt", Status.FAILED, "the policy records nothing at all"),))
        return done._replace(checks=(*done.checks, *counters.check(counted, counters.read(plane, manifest))))


def _loaded(plane: ControlPlane, manifest: Manifest, process: Process | None) -> Loaded:
    """What the process loaded where that is known, else what stands on disk."""
    host = preflight.host_of(plane.root, manifest, POLICY_FLAG)
    try:
        on_disk = files.read_regular(host, "policy") if host is not None else None
    except RefusedError:
        on_disk = None
    known = lastgood.loaded(plane, manifest, process)
    raw = on_disk if known is None else known
    policy = load(raw, policies.version_of(plane, manifest, live=False)).policy if raw is not None else None
    path = manifest.flag(POLICY_FLAG)
    stale = False
    if process is not None and path and known is None:
        stale = written_since(process, plane.root, manifest, path)
    return Loaded(policy, known=known is not None, edited=known != on_disk, stale=stale)
