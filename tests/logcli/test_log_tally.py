"""`log tally` as its users call it, and the commands that take tallies in place of logs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "golden/logs"
LOGS = [
    GOLDEN / name
    for name in ("request-response-1.36.jsonl", "recorded-all-1.36.jsonl.gz", "recorded-forensic-1.36.jsonl.gz")
]
NAMED = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: None\n  resources: [{group: '', resources: [configmaps], resourceNames: [cfg-1, app]}]\n- level: Metadata\n"
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def tallies(call: Call, tmp_path: Path) -> list[Path]:
    found = []
    for number, log in enumerate(LOGS):
        found.append(tmp_path / f"cp{number}.tally")
        assert call("log", "tally", log, "--to", found[-1], "--node", f"cp{number}")[0] == 0
    return found


def without_nodes(answer: tuple[int, str, str]) -> tuple[int, str, str]:
    """The answer of a replay without the table that only tallies have, since they know their nodes."""
    code, out, err = answer
    lines = out.splitlines()
    at = next((number for number, line in enumerate(lines) if line.startswith("NODE ")), None)
    if at is not None:
        end = next((number for number in range(at, len(lines)) if " instead of " in lines[number]), len(lines))
        del lines[at - 1 : end]
    return code, "\n".join(lines) + "\n", err


def logs(paths: list[Path]) -> list[object]:
    return [word for path in paths for word in ("--log", path)]


@pytest.mark.parametrize(
    "words",
    [
        ("policy", "replay", "baseline"),
        ("policy", "replay", "starter", "--against", "quiet"),
        ("policy", "suggest"),
        ("log", "top"),
        ("log", "top", "--by", "rule", "--policy", "baseline"),
        ("log", "top", "--by", "user", "--user", "system:*"),
    ],
    ids=" ".join,
)
def test_tallies_answer_as_the_logs_do(call: Call, tallies: list[Path], words: tuple[str, ...]) -> None:
    of_logs = call(*words, *logs(LOGS))

    assert of_logs[0] == 0
    assert without_nodes(call(*words, *logs(tallies))) == of_logs
    assert without_nodes(call(*words, *logs([tallies[0], LOGS[1], tallies[2]]))) == of_logs  # both kinds add up


def test_a_replay_of_tallies_tells_each_node_and_all(call: Call, tallies: list[Path]) -> None:
    code, out, _ = call("policy", "replay", "baseline", *logs(tallies))
    _, text, _ = call("policy", "replay", "baseline", *logs(tallies), "-o", "json")
    found = json.loads(text)

    assert code == 0
    assert [node["node"] for node in found["nodes"]] == ["cp0", "cp1", "cp2"]
    assert sum(node["predicted"]["events"] for node in found["nodes"]) == found["predicted"]["events"]
    for key in ("recordedPerDay", "predictedPerDay"):
        assert found[key]["bytes"] == pytest.approx(sum(node[key]["bytes"] for node in found["nodes"]), abs=3)
    assert [line.split()[0] for line in out.splitlines() if line.startswith(("NODE", "cp", "all"))] == [
        "NODE", "cp0", "cp1", "cp2", "all"
    ]  # fmt: skip


def test_stats_and_forecast_take_tallies(call: Call, tallies: list[Path]) -> None:
    _, of_logs, _ = call("log", "stats", *logs(LOGS), "-o", "json")
    code, of_tallies, _ = call("log", "stats", *logs(tallies), "-o", "json")
    one, other = (json.loads(text) for text in (of_logs, of_tallies))

    assert code == 0
    for key in ("seconds", "eventsPerSecond", "bytesPerEvent", "bytesPerDay"):
        assert one[key] == other[key], key
    assert call("log", "forecast", *logs(tallies))[0] == 0


def test_a_tally_of_tallies_is_one_of_all_nodes(call: Call, tallies: list[Path], tmp_path: Path) -> None:
    everything = tmp_path / "all.tally"
    code, out, _ = call("log", "tally", *tallies, "--to", everything, "-o", "json")

    assert code == 0
    assert [node["name"] for node in json.loads(out)["nodes"]] == ["cp0", "cp1", "cp2"]
    assert without_nodes(call("policy", "replay", "cis", "--log", everything)) == call(
        "policy", "replay", "cis", *logs(LOGS)
    )


def test_a_policy_with_names_is_told_what_to_do(call: Call, tallies: list[Path], tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text(NAMED)
    code, _, err = call("policy", "replay", policy, "--log", tallies[0])

    assert code == 3
    assert "rules[0]" in err
    assert "p.yaml:4" in err
    assert f"log tally --policy {policy}" in err
    assert call("log", "tally", LOGS[0], "--to", tallies[0], "--policy", policy)[0] == 0
    of_log = call("policy", "replay", policy, "--log", LOGS[0])
    assert without_nodes(call("policy", "replay", policy, "--log", tallies[0])) == of_log


def test_times_and_events_are_not_asked_of_a_tally(call: Call, tallies: list[Path]) -> None:
    for words in (("log", "top", "--since", "1d"), ("log", "stats", "--until", "1d"), ("log", "stats", "--user", "x")):
        code, _, err = call(*words, "--log", tallies[0])
        assert code == 2
        assert "is a tally" in err
    for words in (("log", "tail"), ("log", "who", "x"), ("log", "filter", "--policy", "metadata")):
        code, _, err = call(*words, "--log", tallies[0])
        assert code == 3
        assert "is a tally" in err


def test_standard_output_is_for_a_pipe(tmp_path: Path, tallies: list[Path]) -> None:
    command = [sys.executable, "-m", "auditctl", "log", "tally", str(LOGS[0]), "--node", "cp0"]
    ran = subprocess.run(command, capture_output=True, check=True)

    assert ran.stdout == tallies[0].read_bytes()
    assert b"events" in ran.stderr


def test_a_folder_that_is_not_there_is_said_in_one_sentence(call: Call, tmp_path: Path) -> None:
    code, _, err = call("log", "tally", LOGS[0], "--to", tmp_path / "no/such/x.tally")

    assert code == 3
    assert "cannot write the tally" in err


def test_the_schema_is_printed(call: Call) -> None:
    code, out, _ = call("log", "tally", "--schema")

    assert code == 0
    assert json.loads(out)["title"].startswith("One line of a tally")


def test_damage_is_told_of_tallies_too(call: Call, tmp_path: Path) -> None:
    log, tally = tmp_path / "audit.log", tmp_path / "cp1.tally"
    log.write_bytes(LOGS[0].read_bytes() + b'{"kind":"Event","apiV')
    assert "torn event" in call("log", "tally", log, "--to", tally)[2]

    for words in (("policy", "replay", "baseline"), ("log", "top"), ("log", "stats"), ("log", "report", "--html", "-")):
        code, _, err = call(*words, "--log", tally)
        assert code == 0
        assert "skipped 1 x torn event (21 bytes), in what was tallied" in err
    assert "torn event" in call("log", "tally", tally, log, "--to", tmp_path / "all.tally")[2]
