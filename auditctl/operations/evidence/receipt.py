"""How a run proves that requests are recorded: the request is chosen before the edit, and sent after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from auditctl.errors import RefusedError
from auditctl.findings import Check, Finding, Status
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.credentials import ANONYMOUS, NOBODY
from auditctl.node.apiserver.probe import Callers, Probe, choose, new_nonce
from auditctl.operations.change_model import Deadline, Proof, ProofFunction
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence import last_known_good
from auditctl.operations.evidence.batching import batch_seconds, held
from auditctl.policy.load import load
from auditctl.policy.types import Policy
from auditctl.settings import LOG_FLAG, STANDARD_OUTPUT, WEBHOOK_FLAG

if TYPE_CHECKING:
    from auditctl.node.apiserver.process import Process
    from auditctl.node.apiserver.receipt import ReceiptResult

_RECEIPT_SECONDS = 10.0


class ProbePlan(NamedTuple):
    """What will be asked. ``probe`` None: nothing that we may send would be recorded."""

    policy: Policy
    probe: Probe | None
    nonce: str
    log: Path | None
    unknown: str = ""

    @property
    def unprovable(self) -> bool:
        """Tell whether there is a log, but no request that would be found in it."""
        return self.log is not None and self.probe is None


def plan(
    plane: ControlPlane, manifest: Manifest, policy: Policy, before: Policy | None, *, log: Path | None
) -> ProbePlan:
    """Choose the request by evaluating the policy; ``log`` is the audit log's host path.

    Raises:
        RefusedError: ``--kubeconfig`` names something that is not a kubeconfig.
    """
    nonce = new_nonce()
    probe = choose(policy, before, _callers(plane, manifest), nonce)
    return ProbePlan(policy, probe, nonce, log, _why_unknown(manifest) if log is None else "")


def findings(planned: ProbePlan) -> Iterator[Finding]:
    """Yield what the choice of the request means, before the edit."""
    if planned.unprovable:
        yield Finding.error(
            "no-receipt",
            "no request that auditctl may send would be recorded by this policy, so nothing could be proved",
            "add a rule that records reads of /version, or go without proof: --allow no-receipt",
        )
    elif planned.probe is not None and planned.probe.distinguishes is False and planned.log is not None:
        yield Finding.note(
            "receipt",
            "the old and the new policy decide every test request alike, so the proof cannot show which of them is loaded",
        )
    if planned.probe is not None and not planned.probe.is_fixed and planned.log is not None:
        yield Finding.note("receipt", _disclosure(planned.probe))


def _disclosure(probe: Probe) -> str:
    """Return what a test request is that the policy has chosen in part: security monitoring may report it."""
    who = "with the credentials of the kubeconfig" if probe.with_credentials else "as the anonymous user"
    text = f"the test request will be {probe}, sent {who}"
    if probe.method == "GET":
        return text
    return f"{text}; it changes nothing (a dry run that is refused), but security monitoring may report it"


def prover(
    plane: ControlPlane,
    manifest: Manifest,
    planned: ProbePlan,
    *,
    receiver_may_be_down: bool = False,
    with_webhook: bool = True,
) -> ProofFunction:
    """Return the function that takes the receipt and then, ``with_webhook``, asks the webhook's receiver.

    It raises InterruptionError where the user asks to stop meanwhile.
    """

    def prove(process: Process, patience: Deadline) -> Proof:
        webhook = with_webhook and bool(manifest.flag(WEBHOOK_FLAG))  # it may be the only backend
        if planned.probe is None or (planned.log is None and not webhook):
            why = planned.unknown or "the policy records no request that auditctl may send"
            return Proof((Check("receipt", Status.UNKNOWN, why),))
        taker = _ReceiptTaker(plane, manifest, planned, planned.log, patience)
        result = taker.obtain(planned.probe, process)
        if result.turned_away and not planned.probe.with_credentials:
            # anonymous requests are turned away by a configuration that no flag shows: ask with credentials
            callers = _callers(plane, manifest)._replace(anonymous=None)
            other = choose(planned.policy, None, callers, planned.nonce)
            if other is not None and other.with_credentials:
                result = taker.obtain(other, process)
        checks = [*result.checks]
        if planned.unknown:
            checks.append(Check("receipt", Status.UNKNOWN, planned.unknown))
        if webhook and result.level:
            from auditctl.operations.evidence import webhook_delivery

            awaited = webhook_delivery.AwaitedEvent(planned.nonce, result.level, frozenset(result.stages))
            checks.append(
                webhook_delivery.check(plane, manifest, process, awaited, patience, may_be_down=receiver_may_be_down)
            )
        return Proof(tuple(checks), result.receipt)

    return prove


class _ReceiptTaker(NamedTuple):
    """What a receipt is taken of, and how long that may last."""

    plane: ControlPlane
    manifest: Manifest
    planned: ProbePlan
    log: Path | None
    patience: Deadline

    def obtain(self, probe: Probe, process: Process) -> ReceiptResult:
        from auditctl.node.apiserver.receipt import ReceiptQuery, obtain

        plane, planned = self.plane, self.planned
        plane.progress.step(f"asking {probe} under Audit-ID {planned.nonce}")
        endpoint, credentials = plane.endpoint(self.manifest), plane.credentials()
        delay = batch_seconds(self.manifest, "log")
        left = max(self.patience.deadline - plane.clock.monotonic(), 0.0)
        later = held(self.manifest, "log") if delay and delay >= left else ""
        seconds = min(_RECEIPT_SECONDS + delay, left)
        sought = ReceiptQuery(
            probe=probe,
            policy=planned.policy,
            log=self.log,
            endpoint=endpoint,
            credentials=credentials,
            seconds=seconds,
            later=later,
            interrupted=self.patience.interrupted,
        )
        return obtain(sought, process, plane.clock, planned.nonce)


def loaded_policy(plane: ControlPlane, manifest: Manifest, process: Process | None) -> Policy | None:
    """Return the policy that the running process has loaded, None where that cannot be known."""
    raw = last_known_good.loaded(plane, manifest, process)
    return load(raw).policy if raw is not None else None


def _callers(plane: ControlPlane, manifest: Manifest) -> Callers:
    try:
        credentials = plane.credentials()
    except RefusedError:
        if plane.kubeconfig is not None:
            raise
        credentials = NOBODY
    anonymous = None if manifest.flag("anonymous-auth") == "false" else ANONYMOUS
    return Callers(anonymous, None if credentials.anonymous else credentials.user)


def _why_unknown(manifest: Manifest) -> str:
    log, webhook = manifest.flag(LOG_FLAG), manifest.flag(WEBHOOK_FLAG)
    if log == STANDARD_OUTPUT:
        return "the log goes to standard output (--audit-log-path=-), which is not read"
    if log:
        return f"{log} is inside the container: no volume mounts it, so nothing of it is on this node"
    return "" if webhook else "no audit log is set"
