"""`policy list`, `show`, `validate`: the contract's object, its exit codes, the lines a person reads."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auditctl.cli.app import run
from auditctl.errors import RefusedError
from auditctl.operations.change_model import ChangeOptions
from auditctl.operations.policy_source import load_or_refuse
from auditctl.policy.load import load

ROOT = Path(__file__).resolve().parents[2]
LOADS = [json.loads(line) for line in (ROOT / "tests/golden/policy/load.jsonl").read_text().splitlines()]
HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
GOOD = HEAD + "rules:\n- level: Metadata\n"
DROPS = HEAD + "rules:\n- level: Metadata\n  resource:\n  - group: apps\n"
TWICE = HEAD + "rules:\n- level: Request\n  level: Metadata\n"
REFUSED = HEAD + "rules:\n- level: None\n  verbs: [get]\n- level: metadata\n"

Call = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str, name: str = "policy.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode())
        return path

    return write


def test_the_shipped_policies_are_listed_with_what_they_are_for(policy: Call) -> None:
    ran = policy("list")
    assert ran.code == 0
    assert any(line.startswith("baseline ") and "who did what" in line for line in ran.out.splitlines())
    assert {"baseline"} <= {row["name"] for row in policy("list", "-o", "json").json["policies"]}


def test_a_shipped_policy_is_shown_byte_for_byte(policy: Call) -> None:
    assert policy("show", "baseline").out == (ROOT / "templates/policies/baseline.yaml").read_text()


def test_a_policy_that_does_not_ship_is_one_sentence(policy: Call) -> None:
    ran = policy("show", "nonesuch")
    assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1)
    assert "no policy 'nonesuch' ships with auditctl" in ran.err


def test_the_object_is_the_contracts(policy: Call, file: Call) -> None:
    path = file(DROPS)
    ran = policy("validate", path, "-o", "json")
    (row,) = ran.json["files"]
    (found,) = row.pop("findings")
    assert ran.code == 1
    assert list(ran.json) == ["files"]
    assert row == {"file": str(path), "accepted": True, "dropped": ["rules[0].resource"]}
    assert list(found) == ["check", "severity", "path", "file", "line", "column", "message", "fix"]
    assert (found["check"], found["severity"], found["path"], found["line"], found["column"]) == (
        "dropped-fields",
        "error",
        "rules[0].resource",
        5,
        3,
    )
    assert found["fix"] == "did you mean `resources`?"


def test_a_good_policy_has_nothing_to_say(policy: Call, file: Call) -> None:
    path = file(GOOD)
    ran = policy("validate", path, "-o", "json")
    assert (ran.code, ran.json) == (
        0,
        {"files": [{"file": str(path), "accepted": True, "dropped": [], "findings": []}]},
    )
    assert policy("validate", path).out == f"{path}: accepted by kube-apiserver 1.37\n"
    assert policy("validate", path, "-q").out.strip() == ""
    assert '  -\n    file: "' in policy("validate", path, "-o", "yaml").out


def test_a_line_says_place_severity_path_and_check(policy: Call, file: Call) -> None:
    path = file(REFUSED)
    ran = policy("validate", path)
    assert ran.code == 1
    assert ran.out.splitlines()[0].startswith(f"{path}:6:10: error: rules[1].level: Unsupported value")
    assert ran.out.splitlines()[0].endswith("(did you mean `Metadata`?) [invalid]")
    assert ran.out.splitlines()[1] == f"{path}: kube-apiserver 1.37 would refuse to start with it"


def test_many_files_are_judged_each(policy: Call, file: Call) -> None:
    good, bad = file(GOOD), file(REFUSED, "bad.yaml")
    ran = policy("validate", good, bad, "-o", "json")
    assert (ran.code, [row["accepted"] for row in ran.json["files"]]) == (1, [True, False])
    assert "2 policies, 1 of them not as they should be" in policy("validate", good, bad).out
    assert "2 policies, all accepted by kube-apiserver 1.37" in policy("validate", good, good).out


@pytest.mark.parametrize("words", [[], ["--only", "x"], ["--allow", "x"], ["--kubernetes", "new"]])
def test_wrong_words_are_usage(policy: Call, file: Call, words: list[str]) -> None:
    ran = policy("validate", *words, *([file(GOOD)] if words else []))
    assert (ran.code, ran.out) == (2, "")


def test_a_missing_file_is_one_sentence(policy: Call, tmp_path: Path) -> None:
    ran = policy("validate", tmp_path / "nope.yaml")
    assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1)
    assert ran.err.startswith(f"auditctl policy validate: {tmp_path}/nope.yaml: policy not found")
    assert policy("validate", "nope").code == 3
    assert policy("validate", tmp_path).code == 3
    told = policy("validate", tmp_path / "nope.yaml", "-o", "json")
    assert (told.code, told.json["outcome"], told.json["exitCode"]) == (3, "Refused", 3)


def test_a_key_that_is_there_twice_is_loaded_and_told(policy: Call, file: Call) -> None:
    path = file(TWICE)
    ran = policy("validate", path, "-o", "json")
    (row,) = ran.json["files"]
    assert (ran.code, row["accepted"], row["dropped"]) == (0, True, [])
    assert [(found["check"], found["severity"]) for found in row["findings"]] == [("duplicate-key", "warning")]
    assert policy("validate", path, "--strict").code == 1


@pytest.mark.parametrize(
    "text", [TWICE, '{"apiVersion": "audit.k8s.io/v1", "rules": [{"level": "None"}], "rules": [{}]}']
)
def test_enable_says_of_a_key_that_is_there_twice_what_validate_says(policy: Call, file: Call, text: str) -> None:
    how = ChangeOptions()
    (found,) = load_or_refuse("p.yaml", text.encode(), (1, 36), how).findings
    (row,) = policy("validate", file(text), "--only", "duplicate-key", "-o", "json").json["files"][0]["findings"]
    assert (found.check, found.severity.value) == (row["check"], row["severity"]) == ("duplicate-key", "warning")
    with pytest.raises(RefusedError, match=r"keeps the last one|decodes the second into the first"):
        load_or_refuse("p.yaml", text.encode(), (1, 36), replace(how, strict=True))


@pytest.mark.parametrize("old", ["v1beta1", "v1alpha1"])
def test_an_old_version_is_pointed_to_convert(policy: Call, file: Call, old: str) -> None:
    path = file(GOOD.replace("audit.k8s.io/v1", f"audit.k8s.io/{old}"))
    assert re.search(
        r"\(`auditctl (--rootfs \S+ )?policy convert FILE` prints it as v1\)", policy("validate", path).out
    )
    assert policy("validate", path, "--kubernetes", "1.23").code == 0
    assert "convert" not in policy("validate", file(GOOD.replace("audit.k8s.io/v1", "audit.k8s.io/v2"))).out


def test_what_is_allowed_is_a_warning(policy: Call, file: Call) -> None:
    path = file(DROPS)
    ran = policy("validate", path, "--allow", "dropped-fields", "-o", "json")
    assert (ran.code, ran.json["files"][0]["dropped"]) == (0, ["rules[0].resource"])
    assert ran.json["files"][0]["findings"][0]["severity"] == "warning"
    assert policy("validate", file(REFUSED), "--allow", "dropped-fields").code == 1


def test_every_check_is_listed_with_reason_example_and_fix(policy: Call) -> None:
    rows = policy("validate", "--list", "-o", "json").json["checks"]
    assert "dropped-fields" in [row["check"] for row in rows]
    assert all(row["reason"] and row["fix"] and row["example"] for row in rows)
    assert policy("validate", "--list").out.count("    fix: ") == len(rows)


@pytest.mark.parametrize(
    ("image", "accepted"),
    [
        ("registry.k8s.io/kube-apiserver:v1.36.2", True),
        ("registry.k8s.io/kube-apiserver:v1.31.14", False),
        ('"mirror:5000/k8s/kube-apiserver-amd64:v1.35.0@sha256:00"', False),
        ("registry.k8s.io/kube-apiserver:latest", True),
    ],
)
def test_the_version_is_that_of_the_nodes_manifest(
    policy: Call, file: Call, tmp_path: Path, image: str, accepted: bool
) -> None:
    manifest = tmp_path / "root/etc/kubernetes/manifests/kube-apiserver.yaml"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(f"spec:\n  containers:\n  - command: [kube-apiserver]\n    image: {image}\n")
    path = file(HEAD + "rules:\n- level: None\n  resources: [{group: '*'}]\n- level: Metadata\n")
    asked = ("validate", path, "--rootfs", tmp_path / "root", "-o", "json")
    assert policy(*asked).json["files"][0]["accepted"] is accepted
    assert policy(*asked, "--kubernetes", "v1.36.2").json["files"][0]["accepted"] is True
    assert policy(*asked, "--kubernetes", "1.35").json["files"][0]["accepted"] is False


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_standard_input_is_a_file(name: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "auditctl", "policy", "validate", name, "-o", "json"],
        input=DROPS,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (ran.returncode, json.loads(ran.stdout)["files"][0]["dropped"]) == (1, ["rules[0].resource"])


def test_the_exit_code_is_the_servers_verdict_and_what_it_drops(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for case in LOADS:
        path = tmp_path / "case.yaml"
        path.write_bytes(case["policy"].encode())
        code = run(["auditctl", "policy", "validate", str(path), "-o", "json", "--kubernetes", "1.36"])
        (row,) = json.loads(capsys.readouterr().out)["files"]
        loaded = load(case["policy"].encode())
        assert (row["accepted"], tuple(row["dropped"])) == (not case["error"], loaded.dropped), case["name"]
        assert code == int(bool(case["error"] or loaded.dropped)), case["name"]


def test_a_light_command_imports_nothing_heavy(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(GOOD)
    code = (
        "import sys, typer; brought = set(sys.modules); from auditctl.cli.app import run\n"
        f"run(['auditctl', 'policy', 'validate', {str(path)!r}]); print(*sorted(set(sys.modules) - brought))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"ssl", "rich", "kubernetes", "ruamel.yaml", "jsonpatch", "http.client"} & set(ran.stdout.split())


def test_an_empty_name_is_no_file(policy: Call) -> None:
    assert policy("validate", "").code in (2, 3)


def test_a_version_beyond_the_tables_is_a_guess(file: Call, capfd: pytest.CaptureFixture[str]) -> None:
    """D11: nobody has compared 1.99 with its source."""
    assert run(["auditctl", "policy", "validate", str(file(GOOD)), "--kubernetes", "1.99"]) == 0

    shown = capfd.readouterr()
    assert "kube-apiserver 1.99 (not known to auditctl: a guess)" in shown.out
    assert "the tables go from 1.19 to 1.37" in shown.err


def test_a_trial_start_that_was_asked_for_and_not_done_is_refused(
    file: Call, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """D11: exit 0 would say that the server had been asked."""
    words = ["auditctl", "--rootfs", str(tmp_path), "policy", "validate"]
    assert run([*words, str(file(GOOD)), "--rehearse"]) == 3
    assert "(--rehearse) was not done:" in capfd.readouterr().out
    assert run([*words, str(file(REFUSED)), "--rehearse"]) == 1


def test_a_version_behind_the_tables_is_said_to_be_unknown(policy: Call, file: Call) -> None:
    """Nothing is known of it: the verdict is that of the newest release in the tables, and says so."""
    path = file(GOOD)
    said = f"{path}: accepted by kube-apiserver 1.40 (not known to auditctl: a guess)\n"
    assert policy("validate", path, "--kubernetes", "1.40").out == said
    assert policy("validate", path, "--kubernetes", "1.37").out == f"{path}: accepted by kube-apiserver 1.37\n"


def test_the_discovery_of_a_cluster_tells_what_it_does_not_serve(policy: Call, file: Call, tmp_path: Path) -> None:
    served = tmp_path / "served.txt"
    served.write_text(
        "NAME   SHORTNAMES   APIVERSION   NAMESPACED   KIND   VERBS\npods   po           v1           true         Pod    get\n"
    )
    head = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
    path = file(f"{head}rules: [{{level: None, resources: [{{group: apps}}]}}, {{level: Metadata}}]\n")
    assert "[unknown-resource]" not in policy("validate", path).out
    ran = policy("validate", path, "--discovery", served)
    assert (ran.code, "the cluster serves no API group 'apps'" in ran.out) == (0, True)
    assert policy("validate", path, "--discovery", served, "--strict").code == 1
    ran = policy("validate", path, "--discovery", path)
    assert (ran.code, ran.out) == (3, "")
    assert "the first line is not `NAME SHORTNAMES" in ran.err
