"""The logs of several nodes: ``log tail`` in the order of time with the node in front, ``-f`` on all, ``log top --by log``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(60)


def event(node: str, second: int) -> str:
    stamp = f"2026-12-01T00:00:{second:02}.000000Z"
    return (
        json.dumps(
            {
                "kind": "Event",
                "apiVersion": "audit.k8s.io/v1",
                "level": "Metadata",
                "auditID": f"{node}-{second}",
                "stage": "ResponseComplete",
                "requestURI": f"/{node}/{second}",
                "verb": "get",
                "user": {"username": "u"},
                "responseStatus": {"code": 200},
                "requestReceivedTimestamp": stamp,
                "stageTimestamp": stamp,
            },
            separators=(",", ":"),
        )
        + "\n"
    )


@pytest.fixture
def logs(tmp_path: Path) -> list[Path]:
    """cp1 has the odd seconds, cp2 the even ones."""
    found = []
    for node, seconds in (("cp1", range(1, 20, 2)), ("cp2", range(2, 20, 2))):
        path = tmp_path / node / "audit.log"
        path.parent.mkdir()
        path.write_text("".join(event(node, second) for second in seconds))
        found.append(path)
    return found


def auditctl(*words: object) -> str:
    ran = subprocess.run([sys.executable, "-m", "auditctl", *map(str, words)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_lines_come_in_the_order_of_time_each_with_its_node(logs: list[Path]) -> None:
    """All with a filter, the last ten without."""
    head, *rows = auditctl("log", "tail", "--user", "u", *logs).splitlines()
    assert head.split()[:2] == ["LOG", "TIME"]
    assert [(row.split()[0], row.split()[-1]) for row in rows] == [
        (f"cp{2 - second % 2}", f"/cp{2 - second % 2}/{second}") for second in range(1, 20)
    ]

    last = auditctl("log", "tail", "-n", "3", *logs).splitlines()[1:]
    assert [row.split()[-1] for row in last] == ["/cp1/17", "/cp2/18", "/cp1/19"]
    assert len(auditctl("log", "tail", *logs).splitlines()) == 11
    lines = auditctl("log", "tail", "-n", "2", "-o", "json", *logs).splitlines()
    assert [json.loads(line)["auditID"] for line in lines] == ["cp2-18", "cp1-19"]
    assert "LOG" not in auditctl("log", "tail", logs[0])


def test_several_logs_are_followed_at_once(logs: list[Path]) -> None:
    """What comes to either is printed with its node."""
    command = [sys.executable, "-m", "auditctl", "log", "tail", "-f", "-q", "-n", "1", *map(str, logs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        met = {process.stdout.readline().split()[0] for _ in range(2)}
        with logs[1].open("a") as stream:
            stream.write(event("cp2", 40))
        assert process.stdout.readline().split()[0] == "cp2"
        with logs[0].open("a") as stream:
            stream.write(event("cp1", 41))
        assert process.stdout.readline().split()[0] == "cp1"
        process.terminate()
    assert met == {"cp1", "cp2"}


def test_top_by_log_says_how_much_each_node_writes(logs: list[Path], tmp_path: Path) -> None:
    """Of logs, of tallies, and of both; of one log it is not asked."""
    found = json.loads(auditctl("log", "top", "--by", "log", "-o", "json", *logs))["top"]["log"]
    assert [(row["value"], row["events"]) for row in found] == [("cp1", 10), ("cp2", 9)]

    for path in logs:
        auditctl("log", "tally", path, "--node", path.parent.name, "--to", tmp_path / f"{path.parent.name}.tally")
    tallies = [tmp_path / "cp1.tally", tmp_path / "cp2.tally"]
    of_tallies = json.loads(auditctl("log", "top", "--by", "log", "-o", "json", *tallies))["top"]["log"]
    assert of_tallies == found
    assert "SHARE  LOG" not in auditctl("log", "top", *logs)
