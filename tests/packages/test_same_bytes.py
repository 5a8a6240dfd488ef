"""The same commit gives the same bytes, and every file is what its name says."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from building import TOP, Built, build, needs_dpkg, pythons

pytestmark = needs_dpkg
THREE_MEGABYTES = 3_000_000


def test_the_sdist_unpacked_elsewhere_builds_the_same_bytes_again(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without git, in another folder, time zone and language, and by another Python where one with pip is here."""
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="tar")
    (source,) = tmp_path.iterdir()
    for name in ("SOURCE_DATE_EPOCH", "GIT_DIR"):
        monkeypatch.delenv(name, raising=False)

    build(source, tmp_path / "again", PYTHON=another_python(), TZ="Asia/Tokyo", LC_ALL="C", PYTHONHASHSEED="7")

    assert Built(tmp_path / "again").digests() == built.digests()


def another_python() -> str:
    """The newest other one that has pip, else this one."""
    for _, python in sorted(pythons().items(), reverse=True):
        if (
            python != sys.executable
            and subprocess.run([python, "-m", "pip", "-V"], capture_output=True).returncode == 0
        ):
            return python
    return sys.executable


def test_each_file_is_there_once_and_its_digest_is_true(built: Built) -> None:
    """Four packages, and what is in the two that bring others along."""
    names = {path.name for path in built.folder.iterdir()} - {"SHA256SUMS"}
    parts = {f"{path.name}.cdx.json" for path in (built.single_file, built.deb)}

    assert {built.wheel.name, built.sdist.name, built.single_file.name, built.deb.name, *parts} == names
    assert built.digests() == {
        name: hashlib.sha256((built.folder / name).read_bytes()).hexdigest() for name in sorted(names)
    }


def test_the_single_file_is_small_and_pure(built: Built) -> None:
    """Under 3 MB; no machine code; nothing of what it is said to be without; all that the package reads is in it."""
    with zipfile.ZipFile(built.single_file) as archive:
        names = archive.namelist()
        times = {entry.date_time for entry in archive.infolist()}

    assert built.single_file.stat().st_size < THREE_MEGABYTES
    assert built.single_file.read_bytes().startswith(b"#!/usr/bin/env python3\n")
    assert (names, len(times)) == (sorted(names), 1)
    assert not [name for name in names if name.endswith((".so", ".pyc"))]
    assert not {"kubernetes", "msgspec", "cryptography", "pydantic", "ansible_collections"} & {
        name.split("/")[0] for name in names
    }
    wanted = {"policies/baseline.yaml", "flags.json", "crashes.json", "systemd/auditctl-recover.service"}
    assert {f"auditctl/templates/{name}" for name in wanted} <= set(names)


def test_every_package_carries_its_licence(built: Built) -> None:
    """Each third party's text is in the single file."""
    with zipfile.ZipFile(built.single_file) as archive:
        names = archive.namelist()

    packages = {name.split("/")[0] for name in names if ".dist-info/" in name}
    licensed = {name.split("/")[0] for name in names if ".dist-info/" in name and "LICENSE" in name}
    assert len(packages) == 11
    assert packages == licensed


def test_what_is_inside_is_written_beside_it_and_in_the_wheel(built: Built) -> None:
    """CycloneDX: each package of the single file with its version, as its own metadata says it; the wheel is auditctl alone."""
    with zipfile.ZipFile(built.single_file) as archive:
        folders = {name.split("/")[0] for name in archive.namelist() if name.endswith(".dist-info/METADATA")}
    with zipfile.ZipFile(built.wheel) as archive:
        (own,) = (json.loads(archive.read(name)) for name in archive.namelist() if "/sboms/" in name)
    document = json.loads(built.single_file.with_name("auditctl.pyz.cdx.json").read_text())
    named = {f"{re.sub('[-.]', '_', one['name'])}-{one['version']}.dist-info" for one in document["components"]}
    ours = document["metadata"]["component"]

    assert {folder for folder in folders if not folder.startswith("auditctl-")} == named
    assert ours["hashes"][0]["content"] == built.digests()["auditctl.pyz"]
    assert all(one["licenses"] and one["hashes"] for one in document["components"])
    assert own["metadata"]["component"]["name"] == "auditctl"


def test_the_building_code_is_typed_like_the_package() -> None:
    """mypy --strict; ruff reads it with everything else."""
    words = ["--strict", "--python-version", "3.10", "--config-file", "pyproject.toml", "-p", "packages"]
    ran = subprocess.run(
        [sys.executable, "-m", "mypy", *words],
        cwd=TOP,
        capture_output=True,
        text=True,
        env={**os.environ, "MYPYPATH": ".ci"},
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
