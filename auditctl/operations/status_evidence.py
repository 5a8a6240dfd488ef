"""All that ``status`` shows of a node, read once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from auditctl.errors import AuditctlError, RefusedError
from auditctl.log.ends import LogEnds, read_ends
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.metrics import Counters
from auditctl.node.change import files
from auditctl.node.change.journal import Journal, Role
from auditctl.node.preflight import node_checks
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence import auditing, counters, last_known_good
from auditctl.operations.evidence.auditing import Auditing
from auditctl.operations.evidence.node_state import NodeState, read_state, running_version
from auditctl.operations.kubeadm.config import differences_of
from auditctl.operations.records import Installation, installed_by, newest_change
from auditctl.settings import LOG_FLAG, POLICY_FLAG


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusEvidence:
    """All that `status` shows. ``kept`` tells whether kubeadm upgrade keeps the settings (None: not known, see ``kept_text``)."""

    node: NodeState
    auditing: Auditing
    version: str = ""
    policy: Path | None = None
    policy_digest: str | None = None
    loaded_digest: str | None = None
    installation: Installation | None = None
    last_change: Journal | None = None
    log: Path | None = None
    ends: LogEnds | None = None
    counters: Counters | None = None
    kept: bool | None = None
    kept_text: str = ""

    @property
    def manifest(self) -> Manifest | None:
        """Return the manifest's Pod, None where the manifest cannot be read."""
        return self.node.manifest


def collect_status(plane: ControlPlane) -> StatusEvidence:
    """Read everything once, in the order from the manifest to the log."""
    node = read_state(plane)
    manifest, process = node.manifest, node.evidence.process
    if manifest is None:
        return StatusEvidence(node=node, auditing=auditing.look(plane, node, None, None))
    policy, log = (_host_of(plane, manifest, flag) for flag in (POLICY_FLAG, LOG_FLAG))
    ends = read_ends(log) if log is not None else None
    counted = counters.read(plane, manifest) if node.is_ready else None
    judged = auditing.look(plane, node, ends, counted)
    digest = files.digest(policy) if policy is not None else None
    loaded = last_known_good.loaded(plane, manifest, process)
    kept, kept_text = _kept(plane, node, manifest)
    return StatusEvidence(
        node=node,
        auditing=judged,
        version=running_version(plane, manifest) if node.is_ready else "",
        policy=policy,
        policy_digest=digest,
        loaded_digest=files.sha256(loaded) if loaded is not None else None,
        installation=installed_by(plane, Role.POLICY, digest),
        last_change=newest_change(plane),
        log=log,
        ends=read_ends(log) if log is not None and judged.receipt is not None else ends,
        counters=counted,
        kept=kept,
        kept_text=kept_text,
    )


def _host_of(plane: ControlPlane, manifest: Manifest, flag: str) -> Path | None:
    with suppress(RefusedError):
        return node_checks.host_of(plane.root, manifest, flag)
    return None


def _kept(plane: ControlPlane, node: NodeState, manifest: Manifest) -> tuple[bool | None, str]:
    """Tell whether kubeadm upgrade would keep the audit settings, and why that is not known."""
    if not node.is_ready:
        return None, "the API server cannot be asked"

    try:
        differing = differences_of(plane, manifest, None, plainly=True)
    except AuditctlError as error:
        return None, error.message
    if not differing:
        return True, ""
    return False, "1 setting differs" if len(differing) == 1 else f"{len(differing)} settings differ"
