"""Programs of the system are not looked for where the caller says."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditctl.node.programs import program


def test_the_callers_path_is_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry of PATH, an empty one, the current directory: none counts."""
    for name in ("sh", "auditctl-not-installed"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f":{tmp_path}")

    assert program("auditctl-not-installed") is None
    found = program("sh")
    assert found is not None
    assert Path(found).parent in {Path("/usr/bin"), Path("/bin"), Path("/run/current-system/sw/bin")}
