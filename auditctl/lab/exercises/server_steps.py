"""Steps that start the API server anew, switch a fault of the practice node, or stand for a command of auditctl."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import fields as fields_of
from pathlib import PurePosixPath
from typing import Any

from auditctl.errors import InterruptionError, StrandedError
from auditctl.lab.exercises.step_kind import ExerciseStep, Places, StepError, StepTarget
from auditctl.lab.grading.fields import Fields
from auditctl.lab.node.injected_faults import Faults
from auditctl.node.apiserver.process import listener
from auditctl.node.change import files
from auditctl.node.kubelet.restart import end_in_place
from auditctl.operations.enable import EnableRequest, enable
from auditctl.report import Outcome, Report
from auditctl.settings import Settings

_ANNOTATIONS = "\n  annotations:\n"
_OURS = "    auditctl-lab/started: "


@dataclass(frozen=True, slots=True)
class RestartStep(ExerciseStep):
    """An API server that ends, and one that the kubelet starts with what stands on disk."""

    kind = "restart"
    words = "have the kubelet start the API server anew"

    @property
    def starts_server(self) -> bool:
        return True

    def run(self, target: StepTarget) -> None:
        """Make it another Pod, which has no crash back-off; without annotations, end the container alone."""
        snapshot = files.read(target.host("manifest"), "manifest")
        lines = [line for line in snapshot.content.decode().splitlines(keepends=True) if not line.startswith(_OURS)]
        text, plane = "".join(lines), target.ground.plane
        if _ANNOTATIONS in text:
            stamp = f'{_OURS}"{plane.clock.utc().timestamp():.3f}"\n'
            text = text.replace(_ANNOTATIONS, f"{_ANNOTATIONS}{stamp}", 1)
            files.replace_file(target.host("manifest"), text.encode(), snapshot)
        elif (process := listener(plane.parse(snapshot.content).secure_port)) is not None:
            end_in_place(process)


@dataclass(frozen=True, slots=True)
class Switch(ExerciseStep):
    """A fault of the practice node that no file of it can cause."""

    kind = "switch"
    words = "the simulated fault has been switched off (a switch of the lab; no file of the node shows it)"
    faults: Faults

    @classmethod
    def parse(cls, given: Fields) -> Switch:
        known = {field.name for field in fields_of(Faults)}
        if not isinstance(given.value, Mapping) or set(given.value) - known:
            raise given.error(f"a mapping of {', '.join(sorted(known))} is needed")
        values: dict[str, Any] = {
            str(name): tuple(value) if isinstance(value, list) else value for name, value in given.value.items()
        }
        return cls(Faults(**values))

    def run(self, target: StepTarget) -> None:
        if target.ground.layout is None:
            raise StepError("this exercise is for a practice node alone", check="lab-step", fix="auditctl lab up")
        self.faults.save(target.ground.layout)


@dataclass(frozen=True, slots=True)
class CommandStep(ExerciseStep):
    """A step that stands for a command of auditctl, ``command`` with its options."""

    def run(self, target: StepTarget) -> None:
        report = self.report(target)
        if report.outcome is Outcome.INTERRUPTED:
            raise InterruptionError(report.summary)
        text = f"auditctl {report.command}: {report.summary}"
        if report.outcome is Outcome.STRANDED:
            fix = report.next_steps[0] if report.next_steps else "auditctl doctor"
            raise StrandedError(text, check="lab-step", fix=fix)
        if report.outcome not in (Outcome.CHANGED, Outcome.UNCHANGED):
            raise StepError(text, check="lab-step", fix="auditctl doctor")

    @abstractmethod
    def report(self, target: StepTarget) -> Report:
        """Run the command on the node and return its report."""


@dataclass(frozen=True, slots=True)
class EnableStep(CommandStep):
    """`auditctl enable`; None and empty: the option is left out."""

    kind = "enable"
    policy: str | None
    flags: Mapping[str, str]
    log_path: str | None
    policy_path: str | None
    webhook: str | None

    @classmethod
    def parse(cls, given: Fields) -> EnableStep:
        known = {"policy", "set", "log-path", "policy-path", "webhook"}
        if not isinstance(given.value, Mapping) or set(given.value) - known:
            raise given.error(f"a mapping of {', '.join(sorted(known))} is needed")
        flags = Fields(f"{given.where}: set", given.value.get("set", {}))
        names = list(flags.value) if isinstance(flags.value, Mapping) else []
        texts = {name: given.text(name) if given.has(name) else None for name in known - {"set"}}
        values = {str(name): flags.scalar(str(name)) for name in names}
        return cls(texts["policy"], values, texts["log-path"], texts["policy-path"], texts["webhook"])

    @property
    def files(self) -> tuple[str, ...]:
        """Return the directories of the files, which `enable` makes."""
        paths = (self.log_path, self.policy_path)
        return tuple(str(PurePosixPath(path).parent) for path in paths if path and path.startswith("/"))

    def report(self, target: StepTarget) -> Report:
        ground, policy = target.ground, self.policy
        if policy is not None and "\n" in policy:
            draft = ground.desk.folder / "policy.yaml"
            files.replace_file(draft, policy.encode(), None)
            policy = str(draft)
        elif policy is not None and policy.startswith("/"):
            policy = str(ground.plane.root.host(policy))
        webhook = ground.plane.root.host(self.webhook) if self.webhook is not None else None
        settings = Settings(
            policy_path=self.policy_path,
            log_path=self.log_path,
            log=True if self.log_path is not None else None,
            webhook=True if webhook is not None else None,
            set_flags=dict(self.flags),
        )
        return enable(ground.plane, EnableRequest(settings, policy, webhook), target.options)

    def text(self, places: Places) -> str:  # noqa: ARG002 (paths are written out)
        named = {
            "policy": "FILE" if self.policy and "\n" in self.policy else self.policy,
            "policy-path": self.policy_path,
            "log-path": self.log_path,
            "webhook-config": self.webhook,
        }
        options = [f" --{name} {value}" for name, value in named.items() if value]
        return "".join(("auditctl enable", *options, *(f" --set {name}={value}" for name, value in self.flags.items())))


@dataclass(frozen=True, slots=True)
class DisableStep(CommandStep):
    """`auditctl disable`."""

    kind = "disable"
    words = "auditctl disable"

    def report(self, target: StepTarget) -> Report:
        from auditctl.operations.disable import Purge, disable

        return disable(target.ground.plane, Purge(), target.options)


@dataclass(frozen=True, slots=True)
class ReloadStep(CommandStep):
    """`auditctl restart`."""

    kind = "reload"
    words = "auditctl restart"

    def report(self, target: StepTarget) -> Report:
        from auditctl.operations.restart import restart

        return restart(target.ground.plane, target.options)


@dataclass(frozen=True, slots=True)
class RepairStep(CommandStep):
    """`auditctl doctor --fix`."""

    kind = "repair"
    words = "auditctl doctor --fix"

    def report(self, target: StepTarget) -> Report:
        from auditctl.operations.doctor.command import doctor

        return doctor(target.ground.plane, target.options, fix=True)
