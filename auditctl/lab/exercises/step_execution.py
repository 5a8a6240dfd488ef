"""The steps of an exercise, done on a node. Nothing is kept here: what they change was kept before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from auditctl.compatibility import assert_never
from auditctl.errors import InterruptionError, RefusedError, StrandedError
from auditctl.lab.exercises import steps
from auditctl.lab.exercises.catalogue import Exercise
from auditctl.lab.exercises.snapshot import remove
from auditctl.lab.exercises.steps import Step
from auditctl.lab.exercises.target_node import PracticeNode
from auditctl.lab.node import injected_faults
from auditctl.node.apiserver.process import listener
from auditctl.node.change import files
from auditctl.node.change.files import Snapshot
from auditctl.node.kubelet.restart import end_in_place
from auditctl.node.logfiles import log_files
from auditctl.node.path_trust import beneath
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.enable import EnableRequest, enable
from auditctl.report import Outcome, Report
from auditctl.settings import LOG_FLAG, LOG_PATH, POLICY_FLAG, POLICY_PATH, WEBHOOK_FLAG, WEBHOOK_PATH, Settings

_ANNOTATIONS = "\n  annotations:\n"
_OURS = "    auditctl-lab/started: "
_TREES = ("/etc/kubernetes", "/var/lib/kubelet/config.yaml", "/var/lib/auditctl-lab/faults.json")
_LOGS = ("/var/log/kubernetes",)
_WENT_WELL = (Outcome.CHANGED, Outcome.UNCHANGED)


class Places(NamedTuple):
    """The files that the node's manifest names, as paths of the node, from before the exercise broke anything."""

    manifest: str
    policy: str = POLICY_PATH
    log: str = LOG_PATH
    webhook: str = WEBHOOK_PATH

    @classmethod
    def of(cls, plane: ControlPlane) -> Places:
        """Raises RefusedError for a manifest that cannot be read."""
        manifest = plane.read_manifest()[1]

        def place(flag: str, usual: str) -> str:
            value = manifest.flag(flag)
            found = manifest.host_path(value) if value and value != "-" else None
            return str(found.path) if found is not None else usual

        return cls(
            plane.manifest,
            place(POLICY_FLAG, POLICY_PATH),
            place(LOG_FLAG, LOG_PATH),
            place(WEBHOOK_FLAG, WEBHOOK_PATH),
        )

    def path(self, file: str) -> str:
        """A path of the node for what a step calls a file."""
        return str(getattr(self, file)) if file in steps.ROLES else file


class StepError(RefusedError):
    """A step of an exercise cannot be done on this node."""

    usual_fix = "auditctl lab reset"


def named_files(given: Iterable[Step]) -> Iterator[str]:
    """Every path of the node that a step names."""
    for step in given:
        match step:
            case steps.Replace(file) | steps.Write(file) | steps.Remove(file) | steps.Link(file) | steps.Mode(file):
                yield file
            case steps.Copy(source, target) | steps.Move(source, target):
                yield from (source, target)
            case steps.MakeDirectory(path):
                yield path
            case steps.EnableStep(_, _, log, policy):
                yield from (str(PurePosixPath(path).parent) for path in (log, policy) if path and path.startswith("/"))
            case _:
                pass


def kept_places(plane: ControlPlane, places: Places, exercise: Exercise) -> tuple[list[str], list[str]]:
    """What an exercise may change: trees to keep entry by entry, and logs that servers go on writing to."""
    named = [places.path(file) for file in named_files((*exercise.needs, *exercise.start, *exercise.solution))]
    of_logs = [path for path in named if path.startswith("/var/log/")]
    # the log and its rotated files alone: what else is in their directory may be anybody's
    written = [plane.root.node(path) for path in log_files(plane.root.host(places.log))]
    ours = [places.manifest.rpartition("/")[0], places.policy, places.webhook, plane.state_dir]
    trees = [*_TREES, *ours, *exercise.touches, *(path for path in named if path not in of_logs)]
    return trees, [*_LOGS, places.log, *written, *of_logs]


def starts_anew(given: Iterable[Step]) -> bool:
    """Will there be another API server after these steps, if there is one?"""
    read_only = [step for step in given if isinstance(step, steps.Copy) and step.target != "manifest"]
    changing = [step for step in given if step not in read_only]
    return any(isinstance(step, steps.RestartStep) for step in changing) or "manifest" in named_files(changing)


def perform(ground: PracticeNode, places: Places, step: Step, how: ChangeOptions) -> None:  # noqa: C901, PLR0912 (one line a kind)
    """Do one step.

    Raises:
        StepError: it cannot be done, or the command that it stands for did not go well.
        AuditctlError: what that command raises.
    """
    node = _StepTarget(ground, places)
    try:
        match step:
            case steps.Replace(file, old, new):
                node.put(file, node.text(file, old).replace(old, new, 1).encode())
            case steps.Write(file, text, mode):
                node.put(file, text.encode(), mode)
            case steps.Copy(source, target):
                node.copy(source, target)
            case steps.Move(source, target):
                files.make_directories(node.host(target).parent, 0o755)
                node.host(source).rename(node.host(target))
            case steps.Remove(file):
                remove(node.host(file))
            case steps.MakeDirectory(path):
                files.make_directories(node.host(path))
            case steps.Link(file, to):
                node.host(file).symlink_to(to)
            case steps.Mode(file, mode):
                node.host(file).chmod(mode)
            case steps.RestartStep():
                node.start_anew()
            case steps.Switch(switched):
                node.switch(switched)
            case steps.EnableStep() | steps.Disable() | steps.ReloadStep() | steps.RepairStep():
                _run(ground, step, how)
            case _:
                assert_never(step)
    except OSError as error:
        text = f"{error.filename or node.host('manifest')}: {(error.strerror or str(error)).lower()}"
        raise StepError(text, check="lab-step") from error


class _StepTarget(NamedTuple):
    ground: PracticeNode
    places: Places

    def host(self, file: str) -> Path:
        """Return the place on this machine. Raises StepError for one that a link or `..` leads out of the node."""
        root, path = self.ground.plane.root, self.places.path(file)
        try:
            with beneath(root.path, path):
                pass
        except (FileNotFoundError, NotADirectoryError):  # the step itself makes it, or says so
            pass
        except OSError as error:
            text = f"{error.filename or path}: {(error.strerror or str(error)).lower()}: it is not on the way to a file of this node"
            raise StepError(text, check="lab-step") from error
        return root.host(path)

    def text(self, file: str, old: str) -> str:
        text = self.host(file).read_bytes().decode()
        if old not in text:
            raise StepError(f"{self.host(file)}: {old!r} is not in it", check="lab-step")
        return text

    def put(self, file: str, content: bytes, mode: int | None = None) -> None:
        path = self.host(file)
        files.make_directories(path.parent, 0o755)
        there = files.read_if_there(path, "file")
        like = there or Snapshot(content=b"")
        files.replace(path, content, replace(like, mode=mode) if mode is not None else like)

    def copy(self, source: str, target: str) -> None:
        snapshot = files.read(self.host(source), "file")
        files.replace(self.host(target), snapshot.content, snapshot)

    def start_anew(self) -> None:
        """Another Pod: it has no back-off, and the one from before never gets any. Else the container alone."""
        snapshot = files.read(self.host("manifest"), "manifest")
        lines = [line for line in snapshot.content.decode().splitlines(keepends=True) if not line.startswith(_OURS)]
        text = "".join(lines)
        if _ANNOTATIONS in text:
            stamp = f'{_OURS}"{self.ground.plane.clock.utc().timestamp():.3f}"\n'
            text = text.replace(_ANNOTATIONS, f"{_ANNOTATIONS}{stamp}", 1)
            files.replace(self.host("manifest"), text.encode(), snapshot)
        elif (process := listener(self.ground.plane.parse(snapshot.content).secure_port)) is not None:
            end_in_place(process)

    def switch(self, switched: injected_faults.Faults) -> None:
        if self.ground.layout is None:
            raise StepError("this exercise is for the embedded node alone", check="lab-step", fix="auditctl lab up")
        switched.save(self.ground.layout)


def _run(
    ground: PracticeNode,
    step: steps.EnableStep | steps.Disable | steps.ReloadStep | steps.RepairStep,
    how: ChangeOptions,
) -> None:
    report = _report(ground, step, how)
    if report.outcome is Outcome.INTERRUPTED:
        raise InterruptionError(report.summary)
    if report.outcome is Outcome.STRANDED:
        fix = report.next_steps[0] if report.next_steps else "auditctl doctor"
        raise StrandedError(f"auditctl {report.command}: {report.summary}", check="lab-step", fix=fix)
    if report.outcome not in _WENT_WELL:
        raise StepError(f"auditctl {report.command}: {report.summary}", check="lab-step", fix="auditctl doctor")


def _report(
    ground: PracticeNode,
    step: steps.EnableStep | steps.Disable | steps.ReloadStep | steps.RepairStep,
    how: ChangeOptions,
) -> Report:
    """The command that a step stands for."""
    match step:
        case steps.EnableStep():
            return enable(ground.plane, _request(ground, step), how)
        case steps.Disable():
            from auditctl.operations.disable import Purge, disable

            return disable(ground.plane, Purge(), how)
        case steps.ReloadStep():
            from auditctl.operations.restart import restart

            return restart(ground.plane, how)
        case steps.RepairStep():
            from auditctl.operations.doctor.command import doctor

            return doctor(ground.plane, how, fix=True)
        case _:
            assert_never(step)


def _request(ground: PracticeNode, step: steps.EnableStep) -> EnableRequest:

    policy = step.policy
    if policy is not None and "\n" in policy:
        draft = ground.desk.folder / "policy.yaml"
        files.replace(draft, policy.encode(), None)
        policy = str(draft)
    elif policy is not None and policy.startswith("/"):
        policy = str(ground.plane.root.host(policy))
    webhook = ground.plane.root.host(step.webhook) if step.webhook is not None else None
    settings = Settings(
        policy_path=step.policy_path,
        log_path=step.log_path,
        log=True if step.log_path is not None else None,
        webhook=True if webhook is not None else None,
        set_flags=dict(step.flags),
    )
    return EnableRequest(settings, policy, webhook)
