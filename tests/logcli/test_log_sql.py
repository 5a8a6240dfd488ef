"""`log sql` and `log export` as their users call them."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("duckdb")
LOG = Path(__file__).parents[1] / "golden/logs/request-response-1.36.jsonl"
Call = Callable[..., tuple[int, str, str]]


def test_rows_are_a_table_or_json(call: Call) -> None:
    query = "select stage, count(*) as events, min(time) as first, any_value(groups) as groups from events group by 1 order by 2"
    code, out, _ = call("log", "sql", query, "--log", LOG)
    _, text, _ = call("log", "sql", query, "--log", LOG, "-o", "json")
    found = json.loads(text)

    assert code == 0
    assert out.splitlines()[0].split() == ["STAGE", "EVENTS", "FIRST", "GROUPS"]
    assert found["columns"] == ["stage", "events", "first", "groups"]
    assert sum(row["events"] for row in found["rows"]) == 152
    assert isinstance(found["rows"][0]["groups"], list)


def test_the_view_is_printed_without_a_log(call: Call) -> None:
    code, out, _ = call("log", "sql", "--view")

    assert code == 0
    assert "create view events" in out
    assert call("log", "sql")[0] == 2


def test_a_folder_is_exported_for_its_owner_alone(call: Call, tmp_path: Path) -> None:
    target = tmp_path / "parquet"
    code, out, _ = call("log", "export", "--parquet", target, "--node", "cp1", LOG)

    assert code == 0
    assert "152 events of node cp1, without bodies" in out
    files = list(target.rglob("*.parquet"))
    assert files
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
    assert stat.S_IMODE(target.stat().st_mode) == 0o700


def test_what_cannot_be_done_is_one_sentence(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for words in (
        ("log", "export", "--parquet", file, LOG),
        ("log", "export", "--parquet", tmp_path, tmp_path / "nosuch.log"),
        ("log", "sql", "select 1", "--log", tmp_path / "nosuch.log"),
    ):
        code, _, err = call(*words)
        assert code == 3
        assert "Traceback" not in err
    assert call("log", "export", "--parquet", "", LOG)[0] == 2
