"""`log filter` as a command: files, compressed ones, standard input, following, damage."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

LOG = Path(__file__).parents[1] / "golden" / "logs" / "request-response-1.36.jsonl"


def run(*words: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "auditctl", "log", "filter", *map(str, words)]
    return subprocess.run(command, capture_output=True, **options)  # type: ignore[call-overload]


def test_files_compressed_ones_and_standard_input_give_the_same(tmp_path: Path) -> None:
    packed = tmp_path / "audit.log.gz"
    packed.write_bytes(gzip.compress(LOG.read_bytes()))
    plain = run("--policy", "metadata", LOG)

    assert plain.returncode == 0
    assert b'"level":"Metadata"' in plain.stdout
    assert b"requestObject" not in plain.stdout
    assert run("--policy", "metadata", packed).stdout == plain.stdout
    assert run("--policy", "metadata", "-", input=LOG.read_bytes()).stdout == plain.stdout


def test_damage_and_numbers_are_told_on_standard_error(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(b"\0\0\0" + LOG.read_bytes() + b'{"kind":"Event","apiV')
    ran = run("--policy", "metadata", log)

    assert b"NUL" in ran.stderr
    assert b" of 152 events are recorded under metadata\n" in ran.stderr
    assert ran.stdout == run("--policy", "metadata", LOG).stdout


def test_a_policy_is_required_and_has_to_be_one(tmp_path: Path) -> None:
    assert run(LOG).returncode == 2
    wrong = tmp_path / "p.yaml"
    wrong.write_text("kind: Pod\n")
    assert run("--policy", wrong, LOG).returncode == 3


def test_what_is_appended_follows(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    lines = LOG.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:10]))
    expected = run("--policy", "metadata", LOG).stdout
    first = run("--policy", "metadata", log).stdout
    command = [sys.executable, "-m", "auditctl", "log", "filter", "--policy", "metadata", "-f", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as following:
        assert following.stdout is not None
        assert following.stdout.read(len(first)) == first
        with log.open("ab") as file:
            file.writelines(lines[10:])
        assert following.stdout.read(len(expected) - len(first)) == expected[len(first) :]
        following.kill()
