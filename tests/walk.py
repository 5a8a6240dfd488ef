"""The walk through a scenario: at each step a wrong attempt first, which Check refuses, then the page's own commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from learner import STAYS_DOWN, WRONG, Learner

from auditctl.lab.process import until

BY_HAND, WITH_AUDITCTL = "By hand", "With auditctl"


def attempt_in_vain(learner: Learner, step: Path, seconds: float) -> None:
    """The wrong attempt, refused by Check; afterwards the node is as before it."""
    number = int(step.name.removeprefix("step"))
    with taken_back(learner, seconds):
        before = learner.check(step)
        assert before.code == 1, f"{step.name} is solved before it was begun: {before.text}"
        tried = learner.run(WRONG[number])
        assert tried.code == 0, tried.text
        if number not in STAYS_DOWN:
            assert until(learner.serves, seconds), f"{step.name}, wrong attempt"
        else:
            assert until(lambda: not learner.serves(), seconds)
        refused = learner.check(step)
        assert refused.code == 1, f"{step.name}: a wrong attempt is accepted: {refused.text}"
        assert "not yet" in refused.text
        print(f"{step.name}: {refused.text.splitlines()[-1]}")


def solve(learner: Learner, step: Path, commands: list[str], seconds: float) -> None:
    """The page's own commands, one block after the other as a reader would, then Check."""
    assert commands, f"{step.name} has no commands"
    for block in commands:
        ran = learner.run(block)
        assert ran.code == 0, f"{step.name}:\n{block}\n{ran.text}"
        if "# the API server" not in block:
            assert until(learner.serves, seconds), f"{step.name}: the API server does not come back after\n{block}"
        else:
            assert until(lambda: not learner.serves(), seconds)
            assert learner.check(step).code == 1
    assert until(lambda: learner.check(step).code == 0, seconds), f"{step.name}: {learner.check(step).text}"


@contextmanager
def taken_back(learner: Learner, seconds: float) -> Iterator[None]:
    """Manifest, policies and answers as they were, and the server back."""
    manifest = learner.at("/etc/kubernetes/manifests/kube-apiserver.yaml")
    before, files = manifest.read_bytes(), _files(learner)
    yield
    for path in _files(learner).keys() - files.keys():
        path.unlink()
    for path, content in files.items():
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
    if manifest.read_bytes() != before:
        draft = manifest.with_name(".taken-back")
        draft.write_bytes(before)
        draft.chmod(0o600)
        draft.rename(manifest)
        assert until(learner.serves, seconds)


def _files(learner: Learner) -> dict[Path, bytes]:
    audit = learner.at("/etc/kubernetes/audit")
    policies = list(audit.iterdir()) if audit.exists() else []
    return {path: path.read_bytes() for path in (*learner.answers, *policies) if path.is_file()}
