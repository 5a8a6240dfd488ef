"""The command line on a machine that is no node."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from auditctl.cli.app import run


@pytest.fixture
def call(
    capfd: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[int, str, str]]:
    """Return what runs a command line and returns its exit code, stdout and stderr."""
    empty = str(tmp_path_factory.mktemp("root"))

    def called(*words: object) -> tuple[int, str, str]:
        code = run(["auditctl", *map(str, words), "--rootfs", empty])
        return code, *capfd.readouterr()

    return called
