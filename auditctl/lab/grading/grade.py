"""The grader: does a node meet requirements? Judged by what its server would do, never by the text of a file.

The kinds of requirements, and how they are written, are in `requirements`. A check that fails says which requirement is
not met and what was seen; never how to meet it, for that is the exercise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditctl.compatibility import assert_never
from auditctl.errors import ManifestError, RefusedError
from auditctl.findings import Check, Status
from auditctl.lab.grading import decisions, flags, kinds, log_events, pod_and_files, requirements
from auditctl.lab.grading.kinds import Requirement
from auditctl.node.apiserver.client import Readiness
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.evidence.running_server import Running

_WITHOUT_MANIFEST = (kinds.FileThere, kinds.Predictions, kinds.PolicyFile)


def grade(plane: ControlPlane, wants: Sequence[Mapping[str, object]]) -> tuple[Check, ...]:
    """One check for each of ``wants``, in their order. Nothing of the node is changed.

    Raises:
        RequirementError: a requirement is not one that can be graded.
        RefusedError: the manifest may not be read (root is needed).
    """
    wanted = requirements.read(wants)
    try:
        running = Running.look(plane, plane.read_manifest()[1])
    except RefusedError as error:
        if not isinstance(error, ManifestError) and error.check != "manifest-missing":
            raise
        return tuple(_unreadable(plane, want, error) for want in wanted)
    return judged(running, wanted)


def judged(running: Running, wanted: Sequence[Requirement]) -> tuple[Check, ...]:
    """One check for each requirement, of a node that was looked at."""
    return tuple(_judged(running, want) for want in wanted)


def _judged(running: Running, want: Requirement) -> Check:
    """A server may serve still, while the manifest is one already that leads nowhere."""
    try:
        return _judge(running, want)
    except ManifestError as error:
        return _unreadable(running.plane, want, error)


def _unreadable(plane: ControlPlane, want: Requirement, error: RefusedError) -> Check:
    """There is no API server in the manifest: what is about files alone is graded all the same."""
    if isinstance(want, _WITHOUT_MANIFEST):
        return pod_and_files.of_files(plane, None, want)
    place = f" (line {error.place.line})" if error.place and error.place.line else ""
    text = f"the manifest cannot be graded as it stands{place}"
    if error.check == "manifest-missing":
        text = "there is no manifest of the API server"
    return Check(name_of(want), Status.FAILED, text)


def _judge(running: Running, want: Requirement) -> Check:
    name = name_of(want)
    match want:
        case kinds.Serving():
            return _serving(running)
        case kinds.ReceiptRequirement():
            return log_events.receipt(running)
        case kinds.Recorded():
            return log_events.recorded(running, name, want)
        case kinds.FlagRequirement() | kinds.FlagAbsent() | kinds.Webhook():
            return flags.judge(running, name, want)
        case kinds.Expect() | kinds.Stages() | kinds.SamePolicy():
            return decisions.judge(running, name, want)
        case kinds.LogHostPath() | kinds.Mounted() | kinds.Unmounted() | kinds.NoStrays() | kinds.Persisted():
            return pod_and_files.of_pod(running, name, want)
        case kinds.FileThere() | kinds.Predictions() | kinds.PolicyFile():
            return pod_and_files.of_files(running.plane, running.manifest, want)
        case _:
            assert_never(want)


def _serving(running: Running) -> Check:
    if running.process is None:
        return Check("serving", Status.FAILED, "no API server of this machine listens on the port of the manifest")
    if not running.is_of_manifest:
        text = "the API server that runs was not started with the manifest as it stands"
        return Check("serving", Status.FAILED, text)
    plane = running.plane
    readiness = plane.endpoint(running.manifest).readiness(plane.credentials())
    if readiness is Readiness.READY:
        return Check("serving", Status.PASSED, "the API server runs as the manifest says, and is ready")
    status = Status.UNKNOWN if readiness is Readiness.UNKNOWN else Status.FAILED
    return Check("serving", status, f"/readyz of the API server: {readiness.value}")


def name_of(want: Requirement) -> str:  # noqa: C901, PLR0912 (one line a kind)
    """The name of the check that grades it: the kind, and what it is about."""
    match want:
        case kinds.Serving() | kinds.ReceiptRequirement():
            return type(want).__name__.lower()
        case kinds.FlagRequirement(name, _):
            return f"flag {name}"
        case kinds.FlagAbsent(name):
            return f"flag-absent {name}"
        case kinds.Expect(asked, _):
            return f"expect {asked.words}"
        case kinds.Stages(asked, _, exactly):
            return f"{'stages' if exactly else 'omits'} {asked.words}"
        case kinds.SamePolicy():
            return "policy"
        case kinds.LogHostPath():
            return "log-host-path"
        case kinds.Mounted(flag):
            return f"mount {flag}"
        case kinds.Unmounted(path):
            return f"unmounted {path}"
        case kinds.NoStrays():
            return "manifest-strays"
        case kinds.Persisted():
            return "persisted"
        case kinds.Recorded(asked):
            return f"recorded {asked.words}"
        case kinds.PolicyFile(path, accepted):
            return f"policy-{'accepts' if accepted else 'rejects'} {path}"
        case kinds.Predictions(file):
            return f"predictions {file}"
        case kinds.FileThere(path):
            return f"file {path}"
        case kinds.Webhook():
            return "webhook"
        case _:
            assert_never(want)
