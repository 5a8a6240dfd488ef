"""`policy edit`: only a valid text reaches the file and the node, and what changes is said before."""

from __future__ import annotations

from pathlib import Path

import pytest
from foldernode import PLAIN

from auditctl.cli.app import run

VALID = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"
POLICY = "etc/kubernetes/audit/policy.yaml"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A node in a folder that audits with a policy of one rule; the editor is a script."""
    manifests = tmp_path / "etc/kubernetes/manifests"
    manifests.mkdir(parents=True)
    (manifests / "kube-apiserver.yaml").write_text(PLAIN.read_text())
    (tmp_path / "p.yaml").write_text(VALID)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert (
        run(["auditctl", "--rootfs", str(tmp_path), "enable", "--policy", str(tmp_path / "p.yaml"), "--no-wait"]) == 0
    )
    capsys.readouterr()
    return tmp_path


def editor(root: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = root / "editor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(path))


def edited(root: Path, *words: str) -> int:
    return run(["auditctl", "--rootfs", str(root), "policy", "edit", "--no-wait", *words])


def test_the_nodes_policy_is_edited_and_enabled(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    editor(root, monkeypatch, 'sed -i s/Metadata/Request/ "$1"')

    assert edited(root) == 0

    assert "level: Request" in (root / POLICY).read_text()
    assert "Metadata -> Request" in capsys.readouterr().err.replace("  ", " ")
    assert not list(root.glob("auditctl-edit-*"))


def test_a_text_that_is_not_valid_reaches_nothing_and_is_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (root / POLICY).read_bytes()
    editor(root, monkeypatch, 'sed -i s/Metadata/Nonsense/ "$1"')

    assert edited(root) == 3
    assert edited(root, str(root / "p.yaml")) == 3

    assert (root / POLICY).read_bytes() == before
    assert (root / "p.yaml").read_text() == VALID
    kept = [path for path in root.glob("auditctl-edit-*/*.yaml") if "Nonsense" in path.read_text()]
    assert len(kept) == 2
    assert str(kept[0].parent.parent) in capsys.readouterr().err


def test_a_named_file_is_written_and_enabled(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "p.yaml").chmod(0o640)
    editor(root, monkeypatch, 'sed -i s/Metadata/Request/ "$1"')

    assert edited(root, str(root / "p.yaml")) == 0

    assert "level: Request" in (root / "p.yaml").read_text()
    assert (root / "p.yaml").stat().st_mode & 0o777 == 0o640
    assert (root / POLICY).read_bytes() == (root / "p.yaml").read_bytes()


def test_a_dry_run_writes_neither(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor(root, monkeypatch, 'sed -i s/Metadata/Request/ "$1"')

    assert edited(root, str(root / "p.yaml"), "--dry-run") == 0

    assert (root / "p.yaml").read_text() == VALID
    assert (root / POLICY).read_text() == VALID


def test_the_same_text_changes_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    editor(root, monkeypatch, "true")
    assert edited(root) == 0
    assert "No change" in capsys.readouterr().out


def test_an_editor_that_fails_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    editor(root, monkeypatch, "exit 7")
    assert edited(root) == 3
    assert "ended with code 7" in capsys.readouterr().err
