"""Files that a kubeconfig names are read as files: regular, of a few megabytes at most."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from auditctl.errors import RefusedError
from auditctl.node.apiserver.credentials import read

KUBECONFIG = """apiVersion: v1
kind: Config
current-context: c
contexts: [{{name: c, context: {{cluster: k, user: u}}}}]
clusters: [{{name: k, cluster: {{server: 'https://127.0.0.1:1'}}}}]
users: [{{name: u, user: {{{user}}}}}]
"""


def kubeconfig(folder: Path, user: str) -> Path:
    path = folder / "config"
    path.write_text(KUBECONFIG.format(user=user))
    return path


@pytest.mark.parametrize("field", ["tokenFile", "client-certificate"])
def test_a_device_is_refused_and_not_read(tmp_path: Path, field: str) -> None:
    with pytest.raises(RefusedError, match=f"{field} is not a regular file"):
        read(kubeconfig(tmp_path, f"{field}: /dev/zero"))


@pytest.mark.parametrize("field", ["tokenFile", "client-certificate"])
def test_a_pipe_that_nobody_writes_to_is_refused_at_once(tmp_path: Path, field: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RefusedError, match="is not a regular file"):
        read(kubeconfig(tmp_path, f"{field}: pipe"))


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(RefusedError, match="larger than 10 MiB"):
        read(kubeconfig(tmp_path, "tokenFile: large"))


def test_a_token_behind_links_is_read_as_in_a_projected_volume(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "token").write_text("abc\n")
    (tmp_path / "token").symlink_to("..data/token")

    assert read(kubeconfig(tmp_path, "tokenFile: token")).token == "abc"


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").symlink_to("token")
    with pytest.raises(RefusedError):
        read(kubeconfig(tmp_path, "tokenFile: token"))
