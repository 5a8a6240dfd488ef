"""`log report` as its users call it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

LOG = Path(__file__).parents[1] / "golden/logs/request-response-1.36.jsonl"
Call = Callable[..., tuple[int, str, str]]


def test_the_page_is_written_and_told_in_one_line(call: Call, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    code, out, _ = call("log", "report", "--html", page, "--policy", "baseline", LOG)

    assert code == 0
    assert out == f"{page}: 152 events on one page of {out.split(' of ')[1]}"
    text = page.read_text()
    assert text.startswith("<!doctype html>")
    assert "rules[" in text
    assert "files of 100 MB" in text


def test_the_page_goes_to_standard_output_alone(call: Call, tmp_path: Path) -> None:
    code, out, err = call("log", "report", "--html", "-", LOG, "--title", "Monday <night>")

    assert code == 0
    assert out.startswith("<!doctype html>")
    assert out.endswith("</html>\n")
    assert "<title>Monday &lt;night&gt;</title>" in out
    assert "152 events on one page" in err


def test_filters_are_said_on_the_page(call: Call) -> None:
    code, out, _ = call("log", "report", "--html", "-", LOG, "--user", "system:*")

    assert code == 0
    assert "of 152 events match the filters" in out


def test_tallies_make_a_page_and_cannot_be_filtered(call: Call, tmp_path: Path) -> None:
    tally = tmp_path / "cp1.tally"
    call("log", "tally", LOG, "--to", tally)

    assert call("log", "report", "--html", tmp_path / "r.html", "--log", tally, "--policy", "cis")[0] == 0
    code, _, err = call("log", "report", "--html", tmp_path / "r.html", "--log", tally, "--user", "x")
    assert code == 2
    assert "cannot be filtered" in err
    assert call("log", "report", "--html", tmp_path / "r.html", "--log", tally, "--since", "1d")[0] == 2


def test_a_page_that_cannot_be_written_is_one_sentence(call: Call, tmp_path: Path) -> None:
    code, _, err = call("log", "report", "--html", tmp_path, LOG)

    assert code == 3
    assert "report.html" in err
    assert call("log", "report", LOG)[0] == 2


def test_the_answer_for_programs_names_the_page(call: Call, tmp_path: Path) -> None:
    _, out, _ = call("log", "report", "--html", tmp_path / "r.html", LOG, "-o", "json")

    assert json.loads(out)["events"] == 152
