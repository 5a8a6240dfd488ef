"""``auditctl flags``: the table by version, and the same names and defaults as the real binary's own help."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from auditctl.errors import UsageError
from auditctl.operations.controlplane import ControlPlane
from auditctl.operations.flags import table

BINARIES = os.environ.get("AUDITCTL_NODE_BIN") or ""
HIDDEN = {"--audit-webhook-batch-initial-backoff"}  # deprecated: in no help text
LINE = re.compile(r"^ +(--audit-[\w-]+) ?(\w*) {2,}.*?(?: \(default \"?([^\")]*)\"?\))?$")
ZERO = {"int": "0", "int64": "0", "float": "0", "bool": "false", "duration": "0s", "string": ""}


def test_the_table_follows_the_version(tmp_path: Path) -> None:
    plane = ControlPlane(rootfs=tmp_path)
    defaults = {}
    for version in ("1.35", "1.36"):
        [row] = table(plane, version, "audit_log_maxage").document["flags"]
        defaults[version] = row["default"]
    assert defaults == {"1.35": "0", "1.36": "366"}
    assert len(table(plane, "1.19").document["flags"]) == 31
    assert len(json.loads(table(plane, None).text("json"))["flags"]) == 32
    assert "trap: " in table(plane, None, "--audit-log-path").text("text")


def test_an_unknown_name_is_a_usage_error_with_a_likely_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        table(ControlPlane(rootfs=tmp_path), "1.36", "maxage")
    assert refused.value.fix == "did you mean --audit-log-maxage?"


@pytest.mark.node
@pytest.mark.skipif(not BINARIES, reason="AUDITCTL_NODE_BIN names no folder with kube-apiserver")
def test_the_real_help_text_has_the_same_names_types_and_defaults(tmp_path: Path) -> None:
    binary = Path(BINARIES) / "kube-apiserver"
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    text = subprocess.run([binary, "--help"], capture_output=True, text=True, check=True).stdout
    helped = {match[1]: match[3] for line in text.splitlines() if (match := LINE.match(line))}
    rows = table(ControlPlane(rootfs=tmp_path), version.split()[-1]).document["flags"]
    ours = {row["name"]: row for row in rows if row["name"] not in HIDDEN}
    assert set(helped) == set(ours)
    said = {name: default if default is not None else ZERO[ours[name]["type"]] for name, default in helped.items()}
    assert said == {name: row["default"] for name, row in ours.items()}


@pytest.mark.parametrize("version", ["1.18", "1.40"])
def test_a_version_beyond_the_tables_is_said_to_be_a_guess(version: str, tmp_path: Path) -> None:
    """D11: the tables go from 1.19 to 1.37."""
    answer = table(ControlPlane(rootfs=tmp_path), version)

    assert answer.document["known"] is False
    assert "is not known: the tables go from 1.19 to 1.37" in answer.notes[0]
    assert table(ControlPlane(rootfs=tmp_path), "1.37").document["known"] is True
