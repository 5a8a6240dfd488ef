"""`auditctl log` and `policy replay`, `suggest`, as their users call them."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from goldenlogs import mixed_traffic
from ruamel.yaml import YAML

from auditctl import facts
from auditctl.cli.app import run
from auditctl.compatibility import UTC
from auditctl.log.suggest import Suggestion
from auditctl.operations.policy import suggest
from auditctl.policy.load import load
from auditctl.policy.types import GroupResources, Level, PolicyRule


def event(number: int, **more: object) -> dict[str, Any]:
    """One event as the server writes it."""
    return {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": f"id-{number}",
        "stage": "ResponseComplete", "requestURI": f"/api/v1/namespaces/default/pods/p{number}", "verb": "get",
        "user": {"username": "alice", "groups": ["dev"]}, "sourceIPs": ["10.0.0.7"], "userAgent": "kubectl/v1.36",
        "objectRef": {"resource": "pods", "namespace": "default", "name": f"p{number}", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200}, "requestReceivedTimestamp": "2026-11-21T20:29:05.000000Z",
        "stageTimestamp": f"2026-11-21T20:29:{5 + number:02}.250000Z", **more,
    }  # fmt: skip


def line(number: int, **more: object) -> bytes:
    return json.dumps(event(number, **more), separators=(",", ":")).encode() + b"\n"


WEBHOOK = """\
apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: "https://127.0.0.1:1/", insecure-skip-tls-verify: true}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
users: [{name: a, user: {}}]
current-context: a
"""
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.log"
    path.write_bytes(
        line(1)
        + line(2, verb="delete", responseStatus={"metadata": {}, "code": 403, "message": "no\x1b[31m"})
        + line(3, user={"username": "system:node:a"}, level="Request", sourceIPs=["192.168.0.1"])
        + line(
            4,
            objectRef={"resource": "deployments", "apiGroup": "apps", "subresource": "scale"},
            stage="RequestReceived",
        )
    )
    return path


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["--verb", "delete"], [2]),
        (["--verb", "!delete"], [1, 3, 4]),
        (["--verb", "get,delete"], [1, 2, 3, 4]),
        (["--user", "system:*"], [3]),
        (["--user", "!system:*"], [1, 2, 4]),
        (["--user-group", "dev"], [1, 2, 4]),
        (["--resource", "deployments"], [4]),
        (["--resource", "deployments/scale.apps"], [4]),
        (["--subresource", "!scale"], [1, 2, 3]),
        (["--namespace", "default", "--name", "p1"], [1]),
        (["--level", "Request"], [3]),
        (["--level", "request"], [3]),
        (["--level", "!meta*"], [3]),
        (["--stage", "request*,Panic"], [4]),
        (["--verb", "DELETE"], [2]),
        (["--since", "400w2.5d1h"], [1, 2, 3, 4]),
        (["--stage", "RequestReceived"], [4]),
        (["--code", "4xx"], [2]),
        (["--code", "!200"], [2]),
        (["--code", "200-299"], [1, 3, 4]),
        (["--agent", "kubectl*"], [1, 2, 3, 4]),
        (["--source-ip", "10.0.0.0/8"], [1, 2, 4]),
        (["--since", "2026-11-21T20:29:07Z"], [2, 3, 4]),
        (["--since", "2026-11-21T21:29:07+01:00", "--until", "2026-11-21T20:29:08.5Z"], [2, 3]),
        (["-n", "2"], [3, 4]),
    ],
)
def test_filters_choose(options: list[str], numbers: list[int], log: Path, call: Call) -> None:
    code, out, _ = call("log", "tail", log, *options, "-o", "json")
    assert code == 0
    assert [json.loads(each)["auditID"] for each in out.splitlines()] == [f"id-{number}" for number in numbers]


@pytest.mark.parametrize(
    "options",
    [
        ["--code", "abc"],
        ["--since", "yesterday"],
        ["--since", "-5m"],
        ["--since", "2026-11-22", "--until", "2026-11-21"],
        ["--source-ip", "x"],
        ["--level", "metadat"],
        ["--stage", "!done"],
        ["-f", "-"],
    ],
)
def test_a_wrong_filter_is_a_usage_error(options: list[str], log: Path, call: Call) -> None:
    assert call("log", "tail", *([] if "-" in options else [log]), *options)[0] == 2


def test_a_log_that_is_missing_is_one_sentence(tmp_path: Path, call: Call) -> None:
    code, out, err = call("log", "tail", tmp_path / "none.log")
    assert (code, out) == (3, "")
    assert "cannot read the log: no such file or directory" in err
    assert len(err.splitlines()) == 1


def test_people_read_one_line_a_request_and_no_escape_of_a_stranger(tmp_path: Path, call: Call) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(
        line(1, stage="RequestReceived")
        + line(1)
        + line(2, responseStatus={"metadata": {}, "code": 404, "message": "no\x1b[31m"})
    )
    code, out, _ = call("log", "tail", path)
    head, one, other = out.splitlines()
    assert (code, head.split()) == (0, ["TIME", "(UTC)", "LV", "CODE", "LATENCY", "USER", "VERB", "OBJECT"])
    assert one.split() == [
        "2026-11-21",
        "20:29:06.250",
        "M",
        "200",
        "1.2s",
        "alice",
        "get",
        "pods",
        "p1",
        "in",
        "default",
    ]
    assert "\x1b" not in other
    assert "404" in other


def test_what_is_no_event_is_told_on_stderr(log: Path, call: Call) -> None:
    log.write_bytes(log.read_bytes() + line(9)[:100])
    code, out, err = call("log", "tail", log)
    assert (code, len(out.splitlines())) == (0, 5)
    assert f"torn event (100 bytes): {log} byte" in err


def test_requests_without_an_answer_yet_stand_where_their_time_is(tmp_path: Path, call: Call) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(line(1, stage="RequestReceived") + b"".join(map(line, range(2, 8))))
    _, out, _ = call("log", "tail", path, "-n", "7")
    assert re.findall(r"pods (p\d)", out) == [f"p{number}" for number in range(1, 8)]
    assert "(received)" in out.splitlines()[1]


def test_what_was_never_answered_is_not_held_back_to_the_end_of_the_log(tmp_path: Path, call: Call) -> None:
    """After a minute of the log's own time nobody waits any more: the server's own time-out."""
    path = tmp_path / "audit.log"
    late = (
        line(number, stageTimestamp=f"2026-11-21T20:{30 + number // 60}:{number % 60:02}.000000Z")
        for number in range(2, 1500)
    )
    path.write_bytes(line(1, stage="RequestReceived") + b"".join(late))
    rows = call("log", "tail", path, "--verb", "get", "-q")[1].splitlines()
    at = next(index for index, row in enumerate(rows) if "(received)" in row)
    assert len(rows) == 1499
    assert at < 1200  # a block is looked at as a whole


def test_wide_has_more_columns_and_quiet_no_header(log: Path, call: Call) -> None:
    head, first, *_ = call("log", "tail", log, "-o", "wide")[1].splitlines()
    assert head.split()[-4:] == ["SOURCE", "AUDIT-ID", "AGENT", "OBJECT"]
    for name, value in (
        ("SOURCE", "10.0.0.7"),
        ("AUDIT-ID", "id-1"),
        ("AGENT", "kubectl/v1.36"),
        ("OBJECT", "pods p1"),
    ):
        assert first[head.index(name) :].startswith(value), name
    assert len(call("log", "tail", log, "-q")[1].splitlines()) == 4


def test_json_of_a_log_holds_no_terminal_control(tmp_path: Path, call: Call) -> None:
    """C1 and bidirectional controls in a user agent are escaped; the value stays the same."""
    path = tmp_path / "audit.log"
    agent = "kubectl\u009b31m\u202e"
    raw = json.dumps(event(1, userAgent=agent), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    path.write_bytes(raw)
    _, out, _ = call("log", "tail", path, "-o", "json")
    assert "\u009b" not in out
    assert "\u202e" not in out
    assert json.loads(out)["userAgent"] == agent


@pytest.mark.parametrize("command", ["tail", "top", "stats"])
def test_filters_that_match_nothing_say_so(command: str, log: Path, call: Call) -> None:
    code, out, err = call("log", command, log, "--user", "nobody-of-that-name")
    assert code == 0
    assert "No event matches the filters; 4 events were read." in out + err


def test_a_misspelt_resource_that_matches_nothing_is_named(log: Path, call: Call) -> None:
    """A name that is near none may be a custom resource."""
    _, out, err = call("log", "tail", log, "--resource", "podz")
    assert "Kubernetes has no resource podz; did you mean pods?" in out + err
    _, out, err = call("log", "tail", log, "--resource", "leases,widgets")
    assert "did you mean" not in out + err


def test_top_and_stats_count_what_the_filters_leave(log: Path, call: Call) -> None:
    top = json.loads(call("log", "top", log, "--user", "alice", "--since", "2026-11-21T20:29:07Z", "-o", "json")[1])[
        "top"
    ]
    assert {each["value"]: each["events"] for each in top["user"]} == {"alice": 2}
    assert "2 of 4 events match the filters" in call("log", "stats", log, "--until", "2026-11-21T20:29:07.5Z")[1]


def test_yaml_is_a_stream_of_documents(log: Path, call: Call) -> None:
    _, out, _ = call("log", "tail", log, "-n", "2", "-o", "yaml")
    assert [each["auditID"] for each in YAML(typ="safe", pure=True).load_all(out)] == ["id-3", "id-4"]


def test_a_pipe_is_a_log_and_may_be_compressed(log: Path, call: Call, tmp_path: Path) -> None:
    expected = json.loads(call("log", "top", log, "--policy", "quiet", "-o", "json")[1])["top"]
    for packed in (log.read_bytes(), gzip.compress(log.read_bytes())):
        pipe = tmp_path / f"pipe-{len(packed)}"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(packed,))
        writer.start()
        code, out, err = call("log", "top", pipe, "--policy", "quiet", "-o", "json")
        writer.join()
        assert (code, json.loads(out)["top"], err) == (0, expected, "")


def test_a_log_under_two_names_is_read_once(log: Path, call: Call) -> None:
    log.with_name("other.log").symlink_to(log)
    told = json.loads(call("log", "stats", log, log.with_name("other.log"), log.parent, "-o", "json")[1])
    assert told["log"]["events"] == 4


@pytest.mark.skipif(os.geteuid() != 0, reason="nothing is unreadable to root only")
def test_a_folder_that_may_not_be_read_is_one_sentence(log: Path, call: Call) -> None:
    closed = log.parent / "closed"
    closed.mkdir(mode=0o700)
    (closed / "audit.log").write_bytes(line(1))
    asked = [("tail", closed), ("tail", closed / "audit.log"), ("top", closed)]
    assert [call("log", *words)[0] for words in asked] == [0, 0, 0]
    os.seteuid(65534)
    try:
        told = [call("log", *words) for words in (*asked, ("tail", "-f", closed / "audit.log"))]
    finally:
        os.seteuid(0)
    for code, out, err in told:
        assert (code, out, len(err.splitlines())) == (3, "", 1)
        assert err.endswith("cannot read the log: permission denied (run it as root (sudo))\n")


def test_the_same_events_as_jq_would_choose(call: Call) -> None:
    _, out, _ = call("log", "tail", mixed_traffic("1.36"), "--verb", "delete", "-o", "json")
    expected = [each for each in mixed_traffic("1.36").read_text().splitlines() if json.loads(each)["verb"] == "delete"]
    assert out.splitlines() == expected


def started(*words: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "auditctl", "log", "tail", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def lines_until(process: subprocess.Popen[bytes], count: int) -> list[bytes]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


def test_following_across_rotations_and_a_kill_loses_and_doubles_nothing(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(line(0))
    process = started("-f", "--since", "2026-01-01T00:00:00Z", "-o", "json", log)
    found = lines_until(process, 1)
    for number in range(1, 21):
        if number % 4 == 0:
            log.rename(tmp_path / f"audit-2026-11-21T20-45-{number:02}.643.log")
        with log.open("ab") as file:
            file.write(line(number))
        if number == 10:
            found += lines_until(process, 10)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            process = started("-f", "--since", json.loads(found[-1])["stageTimestamp"], "-o", "json", log)
    found += lines_until(process, 11)
    process.kill()
    process.communicate()
    assert list(dict.fromkeys(found)) == [line(number) for number in range(21)]
    assert len(found) == 22  # the last one before the kill, again: --since is inclusive


@pytest.fixture
def heeding_ctrl_c() -> Iterator[None]:
    """Tests that run in the background ignore it, and what they start would too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeding_ctrl_c")
def test_ctrl_c_ends_following_and_tells_what_was_skipped(log: Path) -> None:
    process = started("-f", "-n", "1", "-o", "json", log)
    lines_until(process, 1)
    with log.open("ab") as file:
        file.write(b"\0" * 50 + line(5))
    assert lines_until(process, 1) == [line(5)]
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 0
    assert f"skipped 1 x run of NUL bytes (50 bytes): {log} byte" in told.decode()


def test_following_a_log_that_is_not_there_yet_says_so_and_ends_when_it_was_told_to(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    process = started("-f", "--until", soon, "-o", "json", log)
    assert process.stderr is not None
    assert process.stderr.readline().decode() == f"{log} is not there yet: it is waited for\n"
    log.write_bytes(line(1))
    out, told = process.communicate(timeout=20)
    assert (out, told, process.returncode) == (line(1), b"", 0)


def test_what_cannot_be_followed_is_refused(tmp_path: Path, call: Call) -> None:
    (tmp_path / "audit.log.gz").write_bytes(gzip.compress(line(1)))
    for path in (tmp_path, tmp_path / "audit.log.gz"):
        code, out, err = call("log", "tail", "-f", path)
        assert (code, out, len(err.splitlines())) == (3, "", 1)


COMMANDS = (
    ("log", "tail"), ("log", "tail", "--verb", "!get", "-o", "json"), ("log", "top", "--policy", "quiet", "-o", "json"),
    ("log", "stats", "-o", "json"), ("policy", "replay", "forensic", "-o", "json"), ("policy", "suggest", "-o", "json"),
)  # fmt: skip


def test_without_msgspec_every_answer_is_the_same(tmp_path: Path) -> None:
    """On a log with all that may happen to one."""
    path = tmp_path / "audit.log"
    text = mixed_traffic("1.36").read_bytes()
    middle = text.index(b"\n", len(text) // 2) + 1
    wrapped = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[' + line(1)[:-1] + b"]}\r\n"
    odd = line(2)[:-2] + b',"requestObject":{"a":"\\ud800\xff"}}\n'
    path.write_bytes(b"\xef\xbb\xbf" + text[:middle] + line(3)[:150] + wrapped + b"\0" * 99 + odd + text[middle:-70])
    code = (
        "import sys; sys.modules.update({name: None for name in sys.argv[2:]}); from auditctl.cli.app import run\n"
        f"for words in {COMMANDS!r}: run(['auditctl', *words[:2], *(words[2:] if words[0] == 'log' or words[1] == 'suggest' else words[2:3]),"
        " '--log', sys.argv[1], *(words[3:] if words[1] == 'replay' else ())])"
    )
    plain, quick = (
        subprocess.run([sys.executable, "-c", code, path, *missing], capture_output=True, check=True)
        for missing in (["msgspec"], [])
    )
    assert plain.stdout == quick.stdout
    assert plain.stderr == quick.stderr
    assert b"run of NUL bytes" in plain.stderr


def test_a_reader_that_goes_ends_it_without_a_word(log: Path) -> None:
    process = started("-f", "-n", "1", log)
    lines_until(process, 1)
    assert process.stdout is not None
    process.stdout.close()
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.returncode == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_full_disk_under_the_output_is_told(log: Path) -> None:
    with open("/dev/full", "wb") as full:
        words = [sys.executable, "-m", "auditctl", "log", "tail", "-o", "json", str(log)]
        ran = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ran.returncode == 1
    assert "cannot be written to standard output: no space left on device" in ran.stderr


def test_standard_input_is_a_log_too(log: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "auditctl", "log", "tail", "-", "-o", "json"],
        input=log.read_bytes(),
        capture_output=True,
        check=True,
    )
    assert ran.stdout == log.read_bytes()


def test_top_and_stats_count_every_event(log: Path, call: Call) -> None:
    top = json.loads(call("log", "top", log, "--policy", "metadata", "-o", "json")[1])["top"]
    assert {each["value"]: each["events"] for each in top["user"]} == {"alice": 3, "system:node:a": 1}
    assert sum(each["bytes"] for each in top["verb"]) == log.stat().st_size
    assert {each["value"] for each in top["resource"]} == {"pods", "deployments/scale.apps"}
    assert sum(each["events"] for each in top["rule"]) == 4
    stats = json.loads(call("log", "stats", log, "-o", "json")[1])
    assert (stats["seconds"], sum(stats["columns"]), stats["bytesPerDay"]) == (
        4,
        4,
        round(log.stat().st_size / 4 * 86400),
    )
    assert "█" in call("log", "stats", log)[1]


def test_forecast_reckons_as_the_manual_does_and_its_options_are_those_of_enable(call: Call) -> None:
    words = (
        "log",
        "forecast",
        "--requests",
        "500",
        "--stages",
        "2",
        "--event-size",
        "1Ki",
        "--disk",
        "100Gi",
        "--days",
        "1",
    )
    told = json.loads(call(*words, "-o", "json")[1])
    assert told["load"]["eventsPerSecond"] == 1000
    assert told["proposed"]["flags"] == {
        "audit-log-maxsize": "100",
        "audit-log-maxbackup": "844",
        "audit-log-maxage": "1",
    }
    assert told["batching"]["audit-webhook-batch-throttle-qps"] == "3.8"  # 1000 / 400, and a half
    assert told["batching"]["audit-webhook-batch-buffer-size"] == "15000"  # 10 s x 1000, and a half
    text = call(*words)[1]
    assert " enable --log-maxsize 100 --log-maxbackup 844 --log-maxage 1" in text


@pytest.mark.parametrize(
    "options",
    [["--rate", "nan"], ["--rate", "inf"], ["--rate", "0"], ["--days", "1e9"], ["--disk", "0"], ["--event-size", "x"]],
)
def test_a_forecast_of_nonsense_is_a_usage_error(options: list[str], call: Call) -> None:
    given = {"--rate": "1", "--event-size": "1000", **dict([options])}
    assert call("log", "forecast", *(word for pair in given.items() for word in pair))[0] == 2


def test_forecast_is_the_manuals_own_example(call: Call) -> None:
    """100 requests a second in two stages are 200 events; a backend that takes 5 s needs room for 1000 of them."""
    words = ("--requests", "100", "--stages", "2", "--event-size", "1000", "--slowest", "5s", "-o", "json")
    told = json.loads(call("log", "forecast", *words)[1])
    batch = {name.removeprefix("audit-webhook-batch-"): float(value) for name, value in told["batching"].items()}
    assert told["load"]["eventsPerSecond"] == 200
    assert batch["throttle-qps"] * batch["max-size"] >= 200
    assert batch["buffer-size"] >= 1000


def test_the_options_that_forecast_prints_are_taken_by_enable(
    folder_node: Any, capfd: pytest.CaptureFixture[str], policy_file: Path, call: Call, tmp_path: Path
) -> None:
    webhook = tmp_path / "webhook.yaml"
    webhook.write_text(WEBHOOK)
    told = call(
        "log", "forecast", "--rate", "20", "--event-size", "1200", "--days", "7", "--disk", "500MB", "--slowest", "10s"
    )[1]
    rotation, batch = (each.partition(" enable ")[2].split() for each in told.splitlines() if " enable " in each)
    shared = ("--policy", str(policy_file), "--rootfs", str(folder_node.rootfs), "--no-wait", "--dry-run", "-o", "json")
    for options in (rotation, [*batch, "--webhook-config", str(webhook)]):
        assert run(["auditctl", "enable", *options, *shared]) == 0
        report = json.loads(capfd.readouterr().out)
        pairs = dict(pair.split("=") for pair in options if "=" in pair)
        names = (each for each in options if each.startswith("--log-"))
        pairs |= {f"audit-{name[2:]}": options[options.index(name) + 1] for name in names}
        assert len(pairs) >= 3
        assert pairs.items() <= report["settings"]["flags"].items()


def test_forecast_tells_what_the_nodes_own_flags_keep(
    folder_node: Any, capfd: pytest.CaptureFixture[str], policy_file: Path
) -> None:
    root = str(folder_node.rootfs)
    assert run(["auditctl", "enable", "--policy", str(policy_file), "--no-wait", "--rootfs", root]) == 0
    capfd.readouterr()
    code = run(["auditctl", "log", "forecast", "--rate", "100", "--event-size", "1Mi", "--rootfs", root, "-o", "json"])
    now = json.loads(capfd.readouterr().out)["now"]
    assert (code, now["maxbackup"], now["decidedBy"]) == (0, 10, "audit-log-maxbackup times audit-log-maxsize")
    assert now["daysKept"] == pytest.approx(10 / 86400)  # 1000 MiB at 100 MiB a second


def test_what_suggest_prints_is_valid_and_keeps_every_sensitive_event(call: Call, tmp_path: Path) -> None:
    told = json.loads(
        call("policy", "suggest", "--log", mixed_traffic("1.36"), "--policy", "metadata", "-o", "json")[1]
    )
    assert told["suggestions"]
    assert told["savedEvents"] == sum(each["savedEvents"] for each in told["suggestions"])
    path = tmp_path / "suggested.yaml"
    path.write_text(told["text"])
    code, out, _ = call("policy", "validate", path, "--strict")
    assert (code, len(out.splitlines())) == (0, 1)
    replayed = json.loads(
        call("policy", "replay", path, "--log", mixed_traffic("1.36"), "--against", "metadata", "-o", "json")[1]
    )
    assert replayed["baseline"]["events"] - replayed["predicted"]["events"] == told["savedEvents"]
    assert not [group for group in replayed["newlyInvisible"] if group["sensitive"]]


def test_replay_tells_people_the_same_as_programs(call: Call) -> None:
    code, out, _ = call("policy", "replay", "baseline", "--log", mixed_traffic("1.36"))
    told = json.loads(call("policy", "replay", "baseline", "--log", mixed_traffic("1.36"), "-o", "json")[1])
    assert code == 0
    assert f"{told['predicted']['events']} events" in out.splitlines()[-1]
    assert told["decisionsKept"]["events"] == told["recorded"]["events"] == 1200
    assert os.linesep.join(out.splitlines()).count("rules[") >= len(told["rules"])


def test_a_request_without_an_answer_yet_is_of_no_code_and_not_of_another(log: Path, call: Call) -> None:
    log.write_bytes(line(1, stage="RequestReceived", responseStatus=None) + line(2))
    for code, numbers in (("!403", ["id-2"]), ("100-599", ["id-2"])):
        out = call("log", "tail", log, "--code", code, "-o", "json")[1]
        assert [json.loads(each)["auditID"] for each in out.splitlines()] == numbers


def test_a_rule_that_validation_has_something_to_say_about_is_not_suggested() -> None:
    good, bad = (
        Suggestion(
            rule=PolicyRule(level=Level.NONE, verbs=("get",), resources=(GroupResources("", (name,)),)),
            reason="x",
            events=1,
            bytes=1,
            sensitive_events=0,
            proof="",
        )
        for name in ("pods", "pod")
    )
    base = facts.policy_text("metadata")
    loaded = load(base.encode()).policy
    assert loaded is not None
    text, kept = suggest._text(base, loaded, [bad, good], suggest._PolicyVolume(2, 0), (1, 36))
    assert kept == [good]
    assert "- pods" in text


def test_a_forecast_says_how_much_of_the_log_it_saw_and_no_webhook_that_is_not_there(
    call: Call, tmp_path: Path
) -> None:
    log = tmp_path / "audit.log"
    event = (
        '{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"%d","stage":"ResponseComplete",'
    )
    event += (
        '"requestURI":"/version","verb":"get","user":{"username":"a"},"stageTimestamp":"2026-01-01T00:00:%02d.000000Z",'
    )
    event += '"requestReceivedTimestamp":"2026-01-01T00:00:%02d.000000Z"}'
    log.write_text("".join(event % (second, second, second) + "\n" for second in range(40)))
    text = call("log", "forecast", str(log))[1]
    assert "(measured over 40 s of the log; less than a day tells little of the others)" in text
    assert "webhook" not in text
    assert "webhook" in call("log", "forecast", str(log), "--slowest", "3s")[1]
    assert "measured" not in call("log", "forecast", "--rate", "1", "--event-size", "1000")[1]


@pytest.mark.parametrize("command", ["top", "stats"])
def test_a_file_that_is_no_audit_log_is_named_so(
    command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "p.yaml"
    other.write_text("kind: Policy\n")
    assert run(["auditctl", "log", command, str(other)]) == 1
    assert "This is no audit log: 13 bytes were read" in capfd.readouterr().err


def test_the_nodes_own_policy_counts_where_its_own_log_is_read(
    folder_node: Any, capfd: pytest.CaptureFixture[str], policy_file: Path
) -> None:
    root = str(folder_node.rootfs)
    assert run(["auditctl", "enable", "--policy", str(policy_file), "--no-wait", "--rootfs", root]) == 0
    log = folder_node.rootfs / "var/log/kubernetes/audit/audit.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    event = (
        '{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"1","stage":"ResponseComplete",'
    )
    event += (
        '"requestURI":"/version","verb":"get","user":{"username":"a"},"stageTimestamp":"2026-01-01T00:00:00.000000Z",'
    )
    log.write_text(event + '"requestReceivedTimestamp":"2026-01-01T00:00:00.000000Z"}\n')
    capfd.readouterr()
    assert run(["auditctl", "log", "top", "--by", "rule", "--rootfs", root]) == 0
    assert "/etc/kubernetes/audit/policy.yaml:" in capfd.readouterr().out
    assert run(["auditctl", "policy", "suggest", "--rootfs", root, "-o", "json"]) == 0
    assert json.loads(capfd.readouterr().out)["policy"].endswith("/etc/kubernetes/audit/policy.yaml")
    assert run(["auditctl", "log", "top", "--by", "rule", "--rootfs", root, "--log", str(log)]) == 2
