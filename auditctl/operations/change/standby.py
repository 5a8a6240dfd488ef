"""Let a standby server serve while the API server restarts: start it, prove it, redirect to it, and end it again.

The new configuration is ready and has left its receipt before the manifest is touched. While the API server restarts, or
is put back after a failed change, new connections lead to the standby, so that neither costs an outage.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from auditctl.errors import RefusedError
from auditctl.findings import Finding, StandbyUse, Status
from auditctl.manifest.document import Document
from auditctl.manifest.pod import Manifest
from auditctl.manifest.standby import StandbyPod, standby_pod
from auditctl.node.apiserver.process import Process, listener
from auditctl.node.change import files
from auditctl.node.change.change import Change
from auditctl.node.change.journal import Step
from auditctl.node.kubelet.restart import Failed, RestartTarget, RestartWaiter
from auditctl.node.preflight.node_checks import host_paths
from auditctl.node.standby import pod
from auditctl.node.standby.pod_network import bypass
from auditctl.node.standby.preconditions import missing
from auditctl.node.standby.redirect import Redirect, redirect, target_of
from auditctl.operations.change.restart_strategy import serving
from auditctl.operations.change.standby_remains import READY_SECONDS, RECEIPT_SECONDS, end_remains, settle_connections
from auditctl.operations.change_model import (
    ChangeDecision,
    ChangeOptions,
    Deadline,
    NoDowntime,
    PlannedChange,
    Restart,
)
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence import receipt
from auditctl.policy.load import load

_KEEP_SECONDS = 2.0
_IN_PLACE_DRAIN_SECONDS = 5.0


class _Keeper(NamedTuple):
    """The thread that keeps the redirect up, and what stops it."""

    thread: threading.Thread
    stopped: threading.Event

    @classmethod
    def start(cls, keep: Callable[[], None]) -> _Keeper:
        stopped = threading.Event()

        def refresh() -> None:
            while not stopped.wait(_KEEP_SECONDS):
                with suppress(OSError):
                    keep()

        thread = threading.Thread(target=refresh, name="standby-redirect", daemon=True)
        thread.start()
        return cls(thread, stopped)

    def stop(self) -> None:
        self.stopped.set()
        self.thread.join()


@dataclass(slots=True, kw_only=True)
class Standby:
    """The standby server of one change."""

    plane: ControlPlane
    planned: PlannedChange
    pod: StandbyPod
    manifest: Manifest
    redirect: Redirect
    process: Process | None = None
    started_at: float = 0.0
    use: StandbyUse | None = None
    _keeper: _Keeper | None = field(default=None, repr=False)

    @classmethod
    def of(cls, plane: ControlPlane, planned: PlannedChange) -> Standby:
        """Return the standby of a change, not started yet.

        Raises:
            RefusedError: no port is free any more.
        """
        port = pod.free_port(planned.after.secure_port)
        if port is None:
            raise RefusedError("no port is free for a standby server", check="no-downtime")
        text = standby_pod(planned.after, port, plane.clock.utc().strftime("%Y%m%dT%H%M%S.%fZ"))
        path = pod.path_of(plane.manifest_path)
        manifest = Manifest.of(Document.of_text(text.text, str(path)))
        return cls(
            plane=plane,
            planned=planned,
            pod=text,
            manifest=manifest,
            redirect=redirect(plane.root, target_of(planned.after, port), plane.clock),
        )

    @property
    def usual_drain(self) -> float:
        """Return how long the old process may linger: the kubelet's grace period, as nobody else would end it.

        Nobody waits for it, so that its Pod is replaced in one rename.
        """
        return _IN_PLACE_DRAIN_SECONDS if self.planned.restart is Restart.IN_PLACE else 0.0

    @property
    def is_left(self) -> bool:
        """Tell whether the standby server was started and has not been ended."""
        return self.started_at > 0 and self.use is None

    @property
    def _log(self) -> Path | None:
        """Return the standby's log on the host."""
        return host_paths(self.plane.root, self.manifest).log if self.pod.log_path is not None else None

    def start(self, change: Change, deadline: Deadline) -> None:
        """Start it, take its receipt, and redirect new connections to it.

        Raises:
            RefusedError: it does not get ready or records nothing; it has been ended again.
            InterruptionError: the user asked to stop; it has been ended again.
        """
        plane = self.plane
        self.started_at = plane.clock.boot()
        change.mark(Step.STANDBY, f"{plane.clock.boot_id()} {self.started_at:.3f} port {self.pod.port}")
        plane.progress.step(f"starting a standby server on port {self.pod.port}")
        watch = RestartWaiter.begin(plane.root, self.manifest, plane.clock, self._tell, deadline.interrupted)
        try:
            pod.place(plane.manifest_path, self.pod.text)
            self._await_ready(watch)
            self._prove(deadline)
            self.redirect.keep()
            self._keeper = _Keeper.start(self.redirect.keep)
            settle_connections(plane)
            self._refuse_ended()
        except OSError as error:
            self.end()
            raise RefusedError(f"the standby server could not be set up: {error}", check="no-downtime") from error
        except BaseException:
            self.end()
            raise
        plane.progress.step(f"the standby server is ready; new connections lead to port {self.pod.port}")

    def _tell(self, _text: str, seconds: float) -> None:
        self.plane.progress.waiting("waiting for the standby server to get ready", seconds)

    def _await_ready(self, watch: RestartWaiter) -> None:
        plane = self.plane
        expected = RestartTarget(
            command=self.manifest.command,
            renamed_at=self.started_at,
            endpoint=plane.endpoint(self.manifest),
            credentials=plane.credentials(),
        )
        result = watch.wait(expected, timeout=READY_SECONDS, drain=0, outgoing=None)
        if isinstance(result, Failed):
            raise RefusedError(
                f"the standby server, which has the new settings, did not get ready: {result}", check="no-downtime"
            )
        self.process = result.process

    def _prove(self, deadline: Deadline) -> None:
        """Take the receipt from the standby's own log."""
        path = host_paths(self.plane.root, self.manifest).policy
        if self.process is None or path is None:
            return
        loaded = load(files.read(path, "policy").content).policy
        if loaded is None:
            return
        probe_plan = receipt.plan(self.plane, self.manifest, loaded, None, log=self._log)
        until = self.plane.clock.monotonic() + RECEIPT_SECONDS
        proof = receipt.prover(self.plane, self.manifest, probe_plan, receiver_may_be_down=True)(
            self.process, deadline._replace(deadline=until)
        )
        failed = [check.detail for check in proof.checks if check.status is Status.FAILED]
        if failed:
            raise RefusedError(f"the standby server records nothing: {failed[0]}", check="no-downtime")

    def _refuse_ended(self) -> None:
        if self.process is not None and not self.process.alive():
            raise RefusedError("the standby server has ended again", check="no-downtime")

    def resume(self) -> None:
        """Go on in another process, which has taken the change over: keep the redirect up, if it was."""
        self.process = listener(self.pod.port, self.manifest)
        if self.process is not None and self._keeper is None:
            self.started_at = self.started_at or self.process.started
            with suppress(OSError):
                self.redirect.keep()
            self._keeper = _Keeper.start(self.redirect.keep)

    def end(self) -> None:
        """End the redirect and the standby, and give its log the name of a rotated one. Raises nothing."""
        plane = self.plane
        if self._keeper is not None:
            self._keeper.stop()
        self._keeper = None
        connections = self.redirect.connections()
        process = self.process or pod.process_of(self.manifest, plane.clock)
        log = end_remains(plane, self._log, process, self.manifest)
        seconds = round(plane.clock.boot() - self.started_at, 3)
        self.use = self.use or StandbyUse(self.pod.port, seconds, connections, str(log) if log else None)


def settle_standby(
    plane: ControlPlane, decision: ChangeDecision, options: ChangeOptions
) -> tuple[ChangeDecision, ChangeOptions]:
    """Return decision and options with --no-downtime as it can be done on this node.

    Raises:
        RefusedError: it is required, and this node lacks something for it.
    """
    planned = decision.planned
    if options.no_downtime is NoDowntime.OFF or decision.nothing or planned.restart is Restart.NONE:
        return decision, replace(options, no_downtime=NoDowntime.OFF)
    process = serving(planned.before)
    lacking = list(missing(plane.root, plane.manifest_path, planned.before, planned.after, process, plane.clock))
    if not options.wait:
        lacking.append("--no-wait waits for no standby server")
    if not lacking:
        text = bypass() if plane.root.is_host else ""
        more = (Finding.note("no-downtime", text),) if text else ()
        return replace(decision, standby=True, findings=(*decision.findings, *more)), options
    reason = "; ".join(lacking)
    if options.no_downtime is NoDowntime.REQUIRED:
        raise RefusedError(
            f"no standby server can serve here: {reason}",
            check="no-downtime",
            fix="use --no-downtime=auto to go on without one",
        )
    text = f"no standby server can serve here, so the API server is down while it restarts: {reason}"
    findings = (*decision.findings, Finding.warning("no-downtime", text))
    return replace(decision, findings=findings), replace(options, no_downtime=NoDowntime.OFF)
