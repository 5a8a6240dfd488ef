"""The command line called in this process: its words in, exit code and what it printed out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from auditctl.cli.app import run


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Policy = Callable[..., Ran]


@pytest.fixture
def policy(capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """``auditctl policy ...`` on a machine that is no control plane."""
    empty = str(tmp_path_factory.mktemp("root"))

    def call(*words: object) -> Ran:
        texts = [str(word) for word in words]
        rootfs = [] if "--rootfs" in texts else ["--rootfs", empty]
        code = run(["auditctl", "policy", *texts, *rootfs])
        return Ran(code, *capsys.readouterr())

    return call
