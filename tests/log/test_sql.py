"""The view over a log tells what the log tells, and the engine is asked for nothing else."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from auditctl import facts
from auditctl.errors import UsageError
from auditctl.log.sql import SqlError, answer, events_view, export_parquet

pytest.importorskip("duckdb")
LOGS = sorted((Path(__file__).parents[1] / "golden/logs").glob("*.jsonl*"))
VIEW = facts.template("events.sql").read_text()


def events() -> list[dict[str, object]]:
    texts = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes() for path in LOGS)
    return [json.loads(line) for text in texts for line in text.splitlines()]


def asked(query: str, *files: Path) -> list[tuple[object, ...]]:
    with events_view(VIEW, list(map(str, files or LOGS)), 1) as connection:
        return answer(connection, query).rows


def test_every_event_is_a_row_with_its_fields() -> None:
    rows = asked("select audit_id, stage, verb, username, coalesce(resource, ''), coalesce(name, ''), code from events")

    def row(event: dict[str, object]) -> tuple[object, ...]:
        reference, status = event.get("objectRef") or {}, event.get("responseStatus")
        assert isinstance(reference, dict)
        code = status.get("code") if isinstance(status, dict) else None
        user = event["user"]
        assert isinstance(user, dict)
        names = (reference.get("resource", ""), reference.get("name", ""))
        return (event["auditID"], event["stage"], event["verb"], user.get("username"), *names, code)

    assert sorted(map(str, rows)) == sorted(str(row(event)) for event in events())


def test_times_are_times_and_bodies_are_json() -> None:
    ((slowest, first),) = asked("select max(milliseconds), min(time) from events")
    assert isinstance(slowest, float)
    assert str(first).startswith("2026-11-")
    ((kinds,),) = asked("select count(distinct request_object->>'kind') from events where request_object is not null")
    assert int(str(kinds)) > 2


def test_damage_hides_no_whole_line(tmp_path: Path) -> None:
    log = tmp_path / "it's a log.jsonl"
    lines = LOGS[-1].read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[0] + b'{"kind":"Event","apiV\n' + lines[1] + b"not JSON\n" + lines[2] + b'{"kind":"Pod"}\n')

    assert asked("select count(*) from events", log) == [(3,)]


def test_a_wrong_query_is_one_sentence() -> None:
    for query in ("selec 1", "select nosuch from events", "select * from nosuch"):
        with pytest.raises(UsageError, match="the query is not understood") as caught:
            asked(query)
        assert "\n" not in str(caught.value)


def test_a_query_cannot_fetch_an_extension() -> None:
    with pytest.raises((SqlError, UsageError)):
        asked("select * from 'https://localhost:1/x.parquet'")


def test_parquet_is_by_day_and_node_and_is_replaced(tmp_path: Path) -> None:
    import duckdb

    for _ in range(2):
        with events_view(VIEW, list(map(str, LOGS)), 1) as connection:
            count = export_parquet(connection, str(tmp_path), "cp'1", with_bodies=False)
    read = duckdb.sql(f"select * from read_parquet('{tmp_path}/**/*.parquet', hive_partitioning = true)")

    assert count == len(events())
    assert len(read.fetchall()) == count
    assert {"day", "node", "username"} <= set(read.columns)
    assert not {"request_object", "response_object"} & set(read.columns)
    assert {path.parts[-3] for path in tmp_path.rglob("*.parquet")} == {"day=2026-11-21", "day=2026-11-30"}


def test_without_duckdb_a_sentence_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['duckdb'] = None; from auditctl.cli.app import run; "
        "sys.exit(run(['auditctl', 'log', 'sql', 'select 1', '--log', sys.argv[1]]))"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(LOGS[-1])], capture_output=True, text=True)

    assert ran.returncode == 3
    assert "needs DuckDB, which is not installed" in ran.stderr
    assert "pip install 'auditctl[sql]'" in ran.stderr
