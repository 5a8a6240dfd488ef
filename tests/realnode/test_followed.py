"""`log tail -f` beside the real server's own rotations: every event once, also across our own SIGKILL and a torn line."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from traffic import Client, Request, collection

LOG = Path("/var/log/kubernetes/audit/audit.log")
EVERYTHING = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: RequestResponse\n"
ROTATIONS, KILLED_AT, AGAIN_AT = 52, 20, 23
CLIENTS = 3
TORN = b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"torn","stage":"Resp'
OVERLAP = timedelta(seconds=2)
Run = Callable[..., tuple[int, dict[str, Any]]]


def rotated() -> list[Path]:
    return sorted(path for path in LOG.parent.iterdir() if path != LOG)


def written() -> list[bytes]:
    """Every event in the log, of all its files."""
    text = b"".join(path.read_bytes() for path in (*rotated(), LOG))
    return [line.removeprefix(TORN) for line in text.splitlines()]


def load(number: int, stop: Event, sent: list[str]) -> None:
    """Configmaps of 60 kB, and small requests between them, as fast as they are answered."""
    client, path = Client(), collection("", "v1", "configmaps")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"follow-{number}"}}
    client.send(Request("POST", path, body=body), f"load-{number}-first")
    sent.append(f"load-{number}-first")
    while not stop.is_set():
        at = f"load-{number}-{len(sent):05}"
        if len(sent) % 5:
            client.send(Request("GET", "/version"), at)
        else:
            client.send(Request("PUT", f"{path}/follow-{number}", body={**body, "data": {"a": at * 4000}}), at)
        sent.append(at)
    client.close()


class Load:
    """Clients at work; the Audit-IDs that each of them has used."""

    def __init__(self) -> None:
        self.sent: list[list[str]] = [[] for _ in range(CLIENTS)]
        self._stop = Event()
        self._threads = [Thread(target=load, args=(each, self._stop, self.sent[each])) for each in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def end(self) -> set[str]:
        """Stop them; all the Audit-IDs."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return {mark for each in self.sent for mark in each}


@contextmanager
def follower(since: str, out: Path) -> Iterator[subprocess.Popen[bytes]]:
    with out.open("wb") as file:
        words = ("log", "tail", "-f", "--since", since, "-o", "json")
        process = subprocess.Popen([sys.executable, "-m", "auditctl", *words], stdout=file, stderr=subprocess.PIPE)
        try:
            yield process
        finally:
            process.kill()
            _, told = process.communicate()
        assert told == b""


def until(holds: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


def whole_lines(path: Path) -> list[bytes]:
    text = path.read_bytes()
    return text[: text.rfind(b"\n") + 1].splitlines()


def test_every_event_of_52_rotations_once_across_our_own_kill_and_a_torn_line(
    tmp_path: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text(EVERYTHING)
    assert run("enable", "--policy", policy, "--log-maxsize", "1", "--log-maxbackup", "100")[0] == 0
    with LOG.open("ab") as file:  # as after a full disk: the server goes on in the same line
        file.write(TORN)
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    begun = time.monotonic()

    working = Load()
    try:
        with follower("2020-01-01T00:00:00Z", one):
            until(lambda: len(rotated()) >= KILLED_AT)
        until(lambda: len(rotated()) >= AGAIN_AT)
        last = datetime.fromisoformat(json.loads(whole_lines(one)[-1])["stageTimestamp"])
        with follower((last - OVERLAP).isoformat(), other):
            until(lambda: len(rotated()) >= ROTATIONS)
            seconds = time.monotonic() - begun
            asked = working.end()
            ends = [f'"auditID":"{each[-1]}"'.encode() for each in working.sent]
            until(lambda: all(other.read_bytes().count(mark) == 2 for mark in ends), 30)
    finally:
        working.end()

    first, second, truth = whole_lines(one), whole_lines(other), written()
    ours = Counter(line for line in truth if b'"auditID":"load-' in line)
    assert max(Counter(first).values()) == max(Counter(second).values()) == max(ours.values()) == 1
    assert {line for line in (*first, *second) if b'"auditID":"load-' in line} == set(ours)
    assert Counter(json.loads(line)["auditID"] for line in ours) == dict.fromkeys(asked, 2)
    assert run("disable", "--purge", "--purge-logs", "--yes")[0] == 0
    with capfd.disabled():
        stamps = [json.loads(line)["stageTimestamp"] for line in truth]
        early = sum(stamp < before for before, stamp in pairwise(stamps))
        print(f"\n{len(ours)} events of {len(asked)} requests, {len(truth)} in the log; "
              f"{ROTATIONS} rotations in {seconds:.0f} s; {early} lines are earlier than the line before")  # fmt: skip
