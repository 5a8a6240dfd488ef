"""What `policy replay` predicts from a log of everything is what the real server then writes, for each shipped policy."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from traffic import drive, requests

from auditctl import facts
from auditctl.cli.app import run as command_line
from auditctl.log.aggregate import Counting
from auditctl.log.readers import reader
from auditctl.log.reading import EventBlock
from auditctl.log.replay import decided, judge_of, writes
from auditctl.policy.load import load
from auditctl.policy.types import Policy

LOG = Path("/var/log/kubernetes/audit/audit.log")
EVERYTHING = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: RequestResponse\n"
Run = Callable[..., tuple[int, dict[str, Any]]]
Event = tuple[str, str, str]


def recorded(run: Run, policy: str | Path, name: str, folder: Path) -> Path:
    """The log of the requests, and of whatever else the node did meanwhile, under a policy."""
    code, report = run("enable", "--policy", policy)
    assert code == 0, report["summary"]
    begun = LOG.stat().st_size
    drive(name)
    path = folder / f"{name}.log"
    with LOG.open("rb") as file:
        file.seek(begun)
        path.write_bytes(file.read())
    return path


def driven(path: Path, name: str, into: Path) -> Path:
    """The lines of our own requests alone."""
    lines = path.read_bytes().splitlines(keepends=True)
    into.write_bytes(b"".join(line for line in lines if json.loads(line)["auditID"].startswith(f"{name}-")))
    return into


def predicted(path: Path, policy: Policy) -> Counter[Event]:
    """Number of the request, stage and level of each event that the policy would leave of a log."""
    judge, reading = judge_of((policy,)), reader()
    found: Counter[Event] = Counter()
    for line in path.read_bytes().splitlines():
        counting = Counting(judge, reading)
        counting.take(EventBlock([reading.one(line)], [line]))
        ((key, _, _),) = counting.tally.volumes()
        decision = decided(judge, key, 0)
        if writes(decision, key.stage):
            found[_number(line), key.stage, decision.level.value] += 1
    return found


def real(path: Path) -> Counter[Event]:
    rows = map(json.loads, path.read_bytes().splitlines())
    return Counter((row["auditID"][-3:], row["stage"], row["level"]) for row in rows)


def _number(line: bytes) -> str:
    return str(json.loads(line)["auditID"])[-3:]


def replayed(capfd: pytest.CaptureFixture[str], policy: str, log: Path) -> dict[str, Any]:
    capfd.readouterr()
    assert command_line(["auditctl", "policy", "replay", policy, "--log", str(log), "-o", "json"]) == 0
    told: dict[str, Any] = json.loads(capfd.readouterr().out)
    return told


@pytest.fixture(scope="module")
def everything(run: Run, node: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The log of our requests at RequestResponse everywhere; every request is in it."""
    folder = tmp_path_factory.mktemp("everything")
    policy = folder / "everything.yaml"
    policy.write_text(EVERYTHING)
    path = driven(recorded(run, policy, "everything", folder), "everything", folder / "driven.log")
    assert {number for number, _, _ in real(path)} == {f"{number:03}" for number in range(len(requests()))}
    yield path
    assert run("disable", "--purge")[0] == 0


@pytest.mark.parametrize("name", facts.policy_names())
def test_predicted_and_real_events_agree_to_the_event(
    name: str, everything: Path, run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    policy = load(facts.policy_text(name).encode()).policy
    assert policy is not None

    whole = recorded(run, name, name, tmp_path)
    ours = driven(whole, name, tmp_path / "driven.log")

    expected, found = predicted(everything, policy), real(ours)
    assert found - expected == expected - found == Counter()
    told = replayed(capfd, name, everything)
    assert told["predicted"]["events"] == found.total()
    assert told["predicted"]["bytes"] == pytest.approx(ours.stat().st_size, rel=0.01)
    assert told["predicted"]["estimatedBytes"] == 0

    itself = replayed(capfd, name, whole)  # with what the kubelet and the server itself asked meanwhile
    lines = len(whole.read_bytes().splitlines())
    assert itself["agreeing"] == itself["recorded"]["events"] == itself["predicted"]["events"] == lines
    assert itself["newlyInvisible"] == itself["newlyVisible"] == itself["log"]["damaged"] == []
    with capfd.disabled():
        bytes_off = told["predicted"]["bytes"] / ours.stat().st_size - 1
        print(
            f"\n{name}: {found.total()} of {expected.total()} events of {len(requests())} requests, bytes {bytes_off:+.4%}; {lines} in all"
        )
