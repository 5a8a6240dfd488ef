"""Another manifest of the same Pod beside ours: who runs, and how it goes without leaving the node without its Pod.

The kubelet keeps both names under one key, so that removing *either* file deletes the Pod (pkg/kubelet/config/file.go
fileKeyMapping). So: move it into our records, rename the manifest over itself at once, and wait on the
identity of the process until one further listing has passed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from auditctl.durations import parse
from auditctl.errors import InterruptionError, RefusedError
from auditctl.findings import Check, Finding, Severity, Status
from auditctl.manifest.document import load as load_yaml
from auditctl.manifest.plan import Plan
from auditctl.manifest.pod import Manifest
from auditctl.node.apiserver.process import Process, listener
from auditctl.node.change import files
from auditctl.node.change.file_edit import FileEdit
from auditctl.node.change.files import Snapshot
from auditctl.node.change.journal import Role
from auditctl.node.kubelet import diagnosis_evidence
from auditctl.node.preflight import node_checks
from auditctl.operations.change_model import Deadline, PlannedChange, Proof, ProofFunction, Restart
from auditctl.operations.controlplane import ControlPlane

OUTAGE = "15 to 45 s"
_KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"
_LISTING_SECONDS = 20.0  # pkg/kubelet/apis/config/v1beta1/defaults.go FileCheckFrequency
_BEYOND_SECONDS = 2.0
_LOOK_SECONDS = 0.5


def findings(plane: ControlPlane, manifest: Manifest, process: Process | None) -> Iterator[Finding]:
    """Yield each stray manifest, with the one that runs."""
    for path in node_checks.strays(plane.root, plane.manifest_path, manifest):
        runs, because = _winner(plane, manifest, path, process)
        yield Finding(
            check="stray-manifests",
            severity=Severity.ERROR,
            message=f"{path} and {plane.manifest_path} define the same Pod {manifest.namespace}/{manifest.pod_name}; {runs} runs "
            f"({because}). Removing either makes the kubelet delete the Pod: an outage of {OUTAGE} is to be expected",
            fix=f"auditctl doctor --fix  # moves {path.name} into the records of auditctl and brings the manifest's Pod back",
            file=str(path),
        )


def _winner(plane: ControlPlane, manifest: Manifest, path: Path, process: Process | None) -> tuple[Path, str]:
    if process is not None:
        with suppress(RefusedError):
            stray = diagnosis_evidence.read_stray(path)
            if stray.command != manifest.command:
                for candidate, command in ((path, stray.command), (plane.manifest_path, manifest.command)):
                    if process.runs(command):
                        return candidate, f"process {process.pid} has its command line"
    return max(
        path, plane.manifest_path, key=lambda one: one.name.encode()
    ), "probably: the last name in byte order wins"


def removal(
    plane: ControlPlane,
    path: Path,
    snapshot: Snapshot,
    manifest: Manifest,
    process: Process | None,
    receipt: ProofFunction,
) -> PlannedChange:
    """Move it away and bring the manifest's own Pod back.

    Raises:
        RefusedError: the file cannot be read (any more).
    """
    other = files.read(path, "manifest")
    before = manifest
    with suppress(RefusedError):
        stray = diagnosis_evidence.read_stray(path)
        before = stray if process is not None and process.runs(stray.command) else manifest
    text = manifest.document.text
    edits = (FileEdit(role=Role.STRAY, path=path, before=other, after=None),)
    summary = f"move {path} out of the kubelet's sight"
    return PlannedChange(
        command="doctor",
        summary=summary,
        snapshot=snapshot,
        before=before,
        after=manifest,
        plan=Plan(text, text),
        paths=node_checks.host_paths(plane.root, manifest),
        edits=edits,
        restart=Restart.REPLACE_POD,
        prove=_past_one_listing(plane, manifest, receipt),
    )


def _past_one_listing(plane: ControlPlane, manifest: Manifest, receipt: ProofFunction) -> ProofFunction:
    """Return a proof that the same process still serves after the kubelet has listed its directory once more."""

    def prove(process: Process, patience: Deadline) -> Proof:
        seconds = listing_seconds(plane) + _BEYOND_SECONDS
        plane.progress.step(f"waiting {seconds:g} s: the kubelet's next listing must leave the Pod alone")
        until = plane.clock.monotonic() + seconds
        while plane.clock.monotonic() < until:
            if patience.interrupted():
                raise InterruptionError("interrupted while waiting for the kubelet's next listing")
            now = listener(manifest.secure_port, manifest)
            if now is None or now.identity != process.identity:
                text = (
                    f"process {process.pid} did not outlive the kubelet's next listing of {plane.manifest_path.parent}"
                )
                return Proof((Check("listing", Status.FAILED, text),))
            plane.clock.sleep(_LOOK_SECONDS)
        text = f"process {process.pid} still runs after a further listing of {plane.manifest_path.parent}"
        further = receipt(process, patience._replace(deadline=patience.deadline + seconds))
        return further._replace(checks=(Check("listing", Status.PASSED, text), *further.checks))

    return prove


def listing_seconds(plane: ControlPlane) -> float:
    """Return ``fileCheckFrequency`` of the kubelet's configuration, else its default."""
    with suppress(OSError, RefusedError, ValueError):
        path = plane.root.followed(_KUBELET_CONFIG)
        config = load_yaml(files.read_regular(path, "kubelet configuration").decode(errors="replace"))
        set_to = config.get("fileCheckFrequency") if isinstance(config, dict) else None
        return parse(str(set_to)) or _LISTING_SECONDS if set_to else _LISTING_SECONDS
    return _LISTING_SECONDS
