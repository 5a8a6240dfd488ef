"""The page is complete in itself and obeys nobody who writes into the log."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from auditctl import facts
from auditctl.log import sources
from auditctl.log.filters import ALL_EVENTS
from auditctl.log.readers import reader
from auditctl.log.report_counts import ReportCounting, ReportCounts
from auditctl.log.report_html import ReportPage, RuleVolume, report_page
from auditctl.log.tally import Tally
from auditctl.log.tally_counting import TallyCounting

LOGS = sorted(map(str, (Path(__file__).parents[1] / "golden/logs").glob("*.jsonl*")))
SHELL, STYLE, SCRIPT = (facts.template(f"report.{kind}").read_text("utf-8") for kind in ("html", "css", "js"))
HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script><script>alert(1)</script>", "{{script}}",
    "javascript:alert(1)", "\u202egnp.exe", "'; alert(1); '", "<!--", "]]>", "&lt;b&gt;", "\x1b[31m", "\ud800", "$(reboot)",
]  # fmt: skip


class Elements(HTMLParser):
    """All elements with their attributes, and the content of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style"):
            self.raw.setdefault(self._open, []).append(data)
            self._open = ""


def page_of(counts: ReportCounts, **more: Any) -> str:
    told: dict[str, Any] = {
        "title": "t", "subtitle": "s", "figures": [("1", "events")], "counts": counts, "rules": [], "rules_note": "",
        "notes": [], "command": "kube-auditctl", "logs": [], **more,
    }  # fmt: skip
    return report_page(ReportPage(**told), SHELL, STYLE, SCRIPT)


def counted(paths: list[str]) -> ReportCounts:
    opened = sources.open_sources(paths)
    counts = ReportCounting(ReportCounts()).scan(sources.pieces(opened), reader(), ALL_EVENTS)
    sources.close(opened)
    return counts


def hostile_log(tmp_path: Path) -> str:
    """Every field that a client chooses, each with every hostile text."""
    path = tmp_path / "audit.log"
    rows = []
    for number, text in enumerate(HOSTILE):
        rows.append(
            {
                "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": text, "verb": text,
                "stage": "ResponseComplete", "requestURI": f"/{text}", "user": {"username": text, "groups": [text]},
                "sourceIPs": [text], "userAgent": text, "impersonatedUser": {"username": text},
                "responseStatus": {"code": 403, "message": text}, "stageTimestamp": f"2026-11-21T20:29:{number:02}.25Z",
            }
        )  # fmt: skip
        reference = {"resource": "secrets", "namespace": text, "name": text, "apiGroup": "", "subresource": text}
        rows.append({**rows[-1], "objectRef": reference})
        rows.append(
            {**rows[-1], "objectRef": {**reference, "resource": text, "apiGroup": text}, "stageTimestamp": text}
        )
    path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
    return str(path)


def check(text: str) -> Elements:
    """Only our elements, our script and our style; nothing that loads, links out or handles an event."""
    found = Elements(text)
    tags = [tag for tag, _ in found.elements]
    assert tags.count("script") == 2
    assert tags.count("style") == 1
    assert not {"img", "iframe", "object", "embed", "link", "base", "form", "a\n", "b"} & set(tags)
    for tag, attributes in found.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "style", "srcset")], tag
        assert re.fullmatch(r"#[a-z]+", attributes.get("href") or "#x"), attributes
    (policy,) = (each["content"] for _, each in found.elements if each.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    for kind, content in (("script", found.raw["script"][1]), ("style", found.raw["style"][0])):
        digest = b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert found.raw["script"][1] == SCRIPT
    return found


def test_the_page_of_a_recorded_log_is_complete_in_itself() -> None:
    text = page_of(counted(LOGS))
    found = check(text)

    assert "http://" not in text
    assert "https://" not in text
    buttons = [each for tag, each in found.elements if tag == "button"]
    details = json.loads(found.raw["script"][0])["details"]
    assert len(buttons) > 20
    assert sorted(int(each["data-d"] or -1) for each in buttons) == list(range(len(details)))
    assert all(each["aria-label"] for each in buttons)
    assert any(each["requests"] for each in details)
    assert len(text.encode()) < 400_000


def test_a_hostile_log_writer_makes_no_element_and_no_command(tmp_path: Path) -> None:
    counts = counted([hostile_log(tmp_path)])
    rules = [RuleVolume(label=each, level=each, events=1, bytes=1, days=None) for each in HOSTILE]
    told = {"title": HOSTILE[0], "subtitle": HOSTILE[1], "rules": rules, "rules_note": HOSTILE[2], "notes": HOSTILE}
    text = page_of(counts, logs=HOSTILE, **told)
    found = check(text)

    assert counts.selected == 3 * len(HOSTILE)
    assert "<img" not in text
    assert "alert(1)</script>" not in text
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert not [word for word in ("\u202e", "\x1b", "\ud800") if word in str(json.loads(found.raw["script"][0]))]
    details = json.loads(found.raw["script"][0])["details"]
    assert any("<script>" in each["title"] for each in details)  # shown as the text that it is, by textContent
    for each in details:
        assert not each["command"] or "log tail --user '" in each["command"] or "log tail --user j" in each["command"]
    commands = "\n".join(each["command"] for each in details)
    assert "--user '$(reboot)'" in commands  # quoted for the shell


def test_the_script_sets_text_and_never_markup() -> None:
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|setAttribute\(\"on", SCRIPT
    )


def test_a_tally_makes_a_page_too() -> None:
    opened = sources.open_sources(LOGS)
    tally = TallyCounting(Tally(), reader()).scan(sources.pieces(opened))
    sources.close(opened)
    counts = ReportCounts()
    counts.take_tally(tally)
    text = page_of(counts)

    check(text)
    assert "A tally has no user agents and no addresses." in text


@pytest.mark.parametrize("days", [None, 3.25])
def test_the_volume_by_rule_has_shares_and_days(days: float | None) -> None:
    rules = [RuleVolume(label="rules[0] p.yaml:4", level="Metadata", events=3, bytes=75, days=days)]
    text = page_of(
        counted(LOGS[:1]), rules=[*rules, RuleVolume(label="x", level="None", events=1, bytes=25, days=None)]
    )

    assert "75.0 %" in text
    assert ("3.2" if days else ">-<") in text


def test_an_empty_log_makes_a_page_that_says_so() -> None:
    text = page_of(ReportCounts())

    check(text)
    for words in ("No event has a time.", "No request was refused.", "No such request is in the log."):
        assert words in text
