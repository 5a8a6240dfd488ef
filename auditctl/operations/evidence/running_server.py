"""What runs now: the process, the policy that it has loaded, and the proof that it records. For `verify` and for graders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.findings import Check, Status
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.loaded_policy import written_since
from auditctl.node.apiserver.process import Process, server_on, untrusted_listener
from auditctl.node.change import files
from auditctl.node.kubelet import diagnosis, kubelet_log
from auditctl.node.kubelet.diagnosis_recording import records_anything
from auditctl.node.preflight import node_checks
from auditctl.operations import policy_source
from auditctl.operations.change_model import ChangeOptions, Deadline, Proof
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence import counters, last_known_good, receipt
from auditctl.policy.load import load
from auditctl.policy.types import Policy
from auditctl.settings import LOG_FLAG, POLICY_FLAG, WEBHOOK_FLAG

STALE = "the policy file was written after the API server had started, which has not read its text as it is now"

_NOT_KNOWN = Proof((Check("receipt", Status.UNKNOWN, "the policy that the API server has loaded is not known"),))


class ActivePolicy(NamedTuple):
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
    loaded: ActivePolicy

    @classmethod
    def look(cls, plane: ControlPlane, manifest: Manifest) -> Running:
        """Return what runs now for this manifest."""
        process = server_on(plane.root, manifest.secure_port, manifest)
        return cls(plane, manifest, process, _loaded(plane, manifest, process))

    @property
    def is_of_manifest(self) -> bool:
        """Tell whether the process was started with the manifest's command line."""
        return self.process is not None and self.process.runs(self.manifest.command)

    def state(self) -> Iterator[Check]:
        """Judge whether auditing is on in the manifest, and the process runs with it."""
        manifest, process = self.manifest, self.process
        on = manifest.flag(POLICY_FLAG) and (manifest.flag(LOG_FLAG) or manifest.flag(WEBHOOK_FLAG))
        yield Check(
            "enabled",
            Status.PASSED if on else Status.FAILED,
            "the manifest sets a policy and a backend" if on else _lacking(manifest),
        )
        if process is None:
            yield Check("process", Status.FAILED, self._why_no_process())
        elif self.is_of_manifest:
            yield Check("process", Status.PASSED, f"process {process.pid} was started with the manifest's command line")
        else:
            text = f"process {process.pid} was not started with the manifest's command line"
            yield Check("process", Status.FAILED, text)

    def _why_no_process(self) -> str:
        """Return why no process of this node is there to ask; under ``--rootfs`` the listeners of the machine do not count."""
        port, root = self.manifest.secure_port, self.plane.root
        if not root.is_host:
            return diagnosis.UNSEEN if kubelet_log.find(root) is None else f"no kube-apiserver listens on port {port}"
        stranger = untrusted_listener(port, self.manifest)
        return (
            stranger.on(port) if stranger is not None else f"no kube-apiserver of this machine listens on port {port}"
        )

    def prove(self) -> Proof:
        """Take the receipt; a proof of which nothing is known where there is no server, or no policy to judge by.

        Raises:
            RefusedError: ``--kubeconfig`` names something that is not a kubeconfig.
        """
        plane, manifest, process, policy = self.plane, self.manifest, self.process, self.loaded.policy
        if process is None or policy is None:
            return _NOT_KNOWN
        log = node_checks.host_of(plane.root, manifest, LOG_FLAG)
        planned = receipt.plan(plane, manifest, policy, None, log=log)
        counted = counters.read(plane, manifest)
        patience = Deadline(plane.clock.monotonic() + ChangeOptions().timeout_seconds)
        done = receipt.prover(plane, manifest, planned)(process, patience)
        if planned.unprovable and not records_anything(policy):
            return Proof((Check("receipt", Status.FAILED, "the policy records nothing at all"),))
        return done._replace(checks=(*done.checks, *counters.check(counted, counters.read(plane, manifest))))

    def observe(self, seconds: float) -> Proof:
        """Send the request of a receipt, if it changes nothing by its kind (GET), and look for it no longer than ``seconds``.

        The webhook's receiver is not waited for. Raises RefusedError: see `prove`.
        """
        plane, process, policy = self.plane, self.process, self.loaded.policy
        if process is None or policy is None:
            return _NOT_KNOWN
        log = node_checks.host_of(plane.root, self.manifest, LOG_FLAG)
        planned = receipt.plan(plane, self.manifest, policy, None, log=log)
        if planned.probe is not None and planned.probe.method != "GET":
            text = "the policy records no request that only reads, of those that auditctl may send"
            return Proof((Check("receipt", Status.UNKNOWN, text),))
        patience = Deadline(plane.clock.monotonic() + seconds)
        return receipt.prover(plane, self.manifest, planned, with_webhook=False)(process, patience)


def _lacking(manifest: Manifest) -> str:
    """Return what the manifest lacks for auditing to be on."""
    if manifest.flag(POLICY_FLAG):
        return "the manifest sets a policy, but neither a log nor a webhook"
    if manifest.flag(LOG_FLAG) or manifest.flag(WEBHOOK_FLAG):
        return "the manifest sets a log or a webhook, but no policy"
    return "auditing is off in the manifest"


def _loaded(plane: ControlPlane, manifest: Manifest, process: Process | None) -> ActivePolicy:
    """Return what the process loaded where that is known, else what is on disk."""
    host = node_checks.host_of(plane.root, manifest, POLICY_FLAG)
    try:
        on_disk = files.read_regular(host, "policy") if host is not None else None
    except RefusedError:
        on_disk = None
    known = last_known_good.loaded(plane, manifest, process)
    raw = on_disk if known is None else known
    policy = load(raw, policy_source.version_of(plane, manifest, live=False)).policy if raw is not None else None
    path = manifest.flag(POLICY_FLAG)
    stale = False
    if process is not None and path and known is None:
        stale = written_since(process, plane.root, manifest, path)
    return ActivePolicy(policy, known=known is not None, edited=known != on_disk, stale=stale)
