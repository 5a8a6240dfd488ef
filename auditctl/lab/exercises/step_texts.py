"""Steps of a solution as a person would do them by hand: one line each."""

from __future__ import annotations

from auditctl.compatibility import assert_never
from auditctl.lab.exercises import steps
from auditctl.lab.exercises.step_execution import Places
from auditctl.lab.exercises.steps import Step


def words(step: Step, places: Places) -> str:  # noqa: C901, PLR0912 (one line a kind)
    """What was done, with the paths of the node."""
    match step:
        case steps.Replace(file, old, new):
            return f"in {places.path(file)}: {_short(old)} becomes {_short(new)}"
        case steps.Write(file):
            return f"write {places.path(file)}"
        case steps.Copy(source, target):
            return f"cp {places.path(source)} {places.path(target)}"
        case steps.Move(source, target):
            return f"mv {places.path(source)} {places.path(target)}"
        case steps.Remove(file):
            return f"rm {places.path(file)}"
        case steps.MakeDirectory(path):
            return f"mkdir -p {path}"
        case steps.Link(file, to):
            return f"ln -s {to} {places.path(file)}"
        case steps.Mode(file, mode):
            return f"chmod {mode:04o} {places.path(file)}"
        case steps.RestartStep():
            return "have the kubelet start the API server anew"
        case steps.Switch():
            return "the cause, which no file of the node shows, is taken away"
        case steps.EnableStep():
            return f"auditctl enable{_options(step)}"
        case steps.Disable():
            return "auditctl disable"
        case steps.ReloadStep():
            return "auditctl restart"
        case steps.RepairStep():
            return "auditctl doctor --fix"
        case _:
            assert_never(step)


def _options(step: steps.EnableStep) -> str:
    policy = "FILE" if step.policy and "\n" in step.policy else step.policy
    named = {
        "policy": policy,
        "policy-path": step.policy_path,
        "log-path": step.log_path,
        "webhook-config": step.webhook,
    }
    options = [f" --{name} {value}" for name, value in named.items() if value]
    return "".join((*options, *(f" --set {name}={value}" for name, value in step.flags.items())))


def _short(text: str) -> str:
    return repr(text.strip("\n")) if text.strip() else "nothing"
