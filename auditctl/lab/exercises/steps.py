"""Read and run the steps of an exercise: a closed set, each of them something that `lab reset` can take back.

Each kind is one class, in `file_steps` or `server_steps`. A step is a mapping of one kind to its value. FILE is a path of the node, or `manifest`, `policy`, `log` or `webhook`: the
files that this node's own manifest names::

    replace: {in: FILE, old: TEXT, new: TEXT}     # the text must be there; its first occurrence
    write: {file: FILE, text: TEXT, mode: '0600'} # mode: left out, that of the file that was there, else 0600
    copy: {from: FILE, to: FILE}
    move: {from: FILE, to: FILE}
    remove: FILE                                  # a file or an empty directory
    directory: PATH                               # with its parents, 0700
    link: {file: FILE, to: TEXT}                  # a symbolic link
    mode: {file: FILE, mode: '0400'}
    restart: true                                 # end the API server; the kubelet starts it with what stands on disk
    switch: {etcd_refused: true}                  # of the practice node (`faults`); an empty mapping: none
    enable: {policy: NAME or TEXT, set: {FLAG: VALUE}, log-path: PATH, policy-path: PATH, webhook: FILE}   # as the command
    disable: true                                 # as the command, likewise the next two
    reload: true                                  # auditctl restart
    repair: true                                  # auditctl doctor --fix

A manifest is always replaced by one rename, whatever the step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from auditctl.lab.exercises.file_steps import Copy, Link, MakeDirectory, Mode, Move, Remove, Replace, Write
from auditctl.lab.exercises.server_steps import DisableStep, EnableStep, ReloadStep, RepairStep, RestartStep, Switch
from auditctl.lab.exercises.step_kind import ExerciseStep, Places, StepError, StepTarget
from auditctl.lab.grading.fields import Fields
from auditctl.node.logfiles import log_files
from auditctl.operations.controlplane import ControlPlane

_CLASSES: tuple[type[ExerciseStep], ...] = (
    *(Replace, Write, Copy, Move, Remove, MakeDirectory, Link, Mode),
    *(RestartStep, Switch, EnableStep, DisableStep, ReloadStep, RepairStep),
)
_KINDS = {step.kind: step for step in _CLASSES}
_TREES = (
    *("/etc/kubernetes", "/var/lib/kubelet/config.yaml"),
    *("/var/lib/auditctl-lab/faults.json", "/var/lib/auditctl-lab/kubeadm-config.json"),
)
_LOGS = ("/var/log/kubernetes",)


def read_steps(given: Fields, key: str) -> tuple[ExerciseStep, ...]:
    """Return the steps under ``key``; none where it is left out.

    Raises:
        RequirementError: one of them is not a step.
    """
    if not given.has(key):
        return ()
    value = given.value[key]  # type: ignore[index] # `has` says that it is a mapping
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise given.error(f"{key!r} is to be a list of steps")
    return tuple(_one(f"{given.where}: {key}[{index}]", step) for index, step in enumerate(value))


def _one(where: str, step: object) -> ExerciseStep:
    if not isinstance(step, Mapping) or len(step) != 1:
        raise Fields(where, step).error("a mapping of one kind of step to its value is needed")
    ((kind, value),) = step.items()
    given = Fields(f"{where} ({kind})", value, str(kind))
    if kind not in _KINDS:
        near = get_close_matches(str(kind), _KINDS, n=1)
        raise given.error("is not a kind of step", f"did you mean {near[0]!r}?" if near else ", ".join(_KINDS))
    return _KINDS[kind].parse(given)


def perform(step: ExerciseStep, target: StepTarget) -> None:
    """Do one step.

    Raises:
        StepError: it cannot be done, or the command that it stands for did not succeed.
        AuditctlError: what that command raises.
    """
    try:
        step.run(target)
    except OSError as error:
        text = f"{error.filename or target.host('manifest')}: {(error.strerror or str(error)).lower()}"
        raise StepError(text, check="lab-step") from error


def starts_server(steps: Iterable[ExerciseStep]) -> bool:
    """Return whether the kubelet starts another API server after these steps, if there is one."""
    return any(step.starts_server for step in steps)


def kept_places(
    plane: ControlPlane, places: Places, steps: Iterable[ExerciseStep], touches: Iterable[str]
) -> tuple[list[str], list[str]]:
    """Return what an exercise may change: trees to keep entry by entry, and logs that servers go on writing to."""
    named = [places.path(file) for step in steps for file in step.files]
    of_logs = [path for path in named if path.startswith("/var/log/")]
    # the log and its rotated files alone: other files of their directory may belong to anybody
    written = [plane.root.node(path) for path in log_files(plane.root.host(places.log))]
    ours = [places.manifest.rpartition("/")[0], places.policy, places.webhook, plane.state_dir]
    trees = [*_TREES, *ours, *touches, *(path for path in named if path not in of_logs)]
    return trees, [*_LOGS, places.log, *written, *of_logs]
