"""`policy matrix`: on a terminal, in a pipe, as an object, and as a page that a browser opens."""

from __future__ import annotations

import html.parser
import json
import os
import pty
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n"
HOSTILE = '<script>window.name="mine"</script>'
TEXT = HEAD + (
    "- level: None\n"
    "  namespaces: [kube-system]\n"
    "- level: RequestResponse\n"
    f"  users: ['{HOSTILE}', '\"><img src=x onerror=alert(1)>']\n"
    "- level: RequestResponse\n"
    "  verbs: [get]\n"
    "  resources:\n"
    "  - group: ''\n"
    "    resources: [secrets]\n"
    "  - group: example.com\n"
    '    resources: ["<i>&amp;\'", widgets]\n'
    "- level: Metadata\n"
)
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
Call = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def page(policy: Call, file: Path, tmp_path: Path) -> Path:
    out = tmp_path / "picture.html"
    assert policy("matrix", file, "--html", out, "--user", "admin", "--user", HOSTILE).code == 0
    return out


def test_in_a_pipe_letters_carry_the_meaning_and_a_legend_tells_them(
    policy: Call, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # a parallel run of pytest sets it
    ran = policy("matrix", file, "--user", "admin")
    assert (ran.code, ran.err) == (0, "")
    assert "\x1b" not in ran.out
    lines = ran.out.splitlines()
    assert lines[0] == f"{file}: what kube-apiserver 1.37 records"
    assert "  RR  RequestResponse: and what was answered" in lines
    (secrets,) = [line for line in lines if re.match(r"secrets\b", line)]
    assert secrets.split()[1:3] == ["-/RR!(2)", "-/M!(1)"]
    assert "  (2) - in kube-system (rules[0], lines 4-5); RR else (rules[2], lines 8-14)" in lines
    assert any(HOSTILE in line and "none of these" in line for line in lines)


def test_colours_are_for_terminals_and_where_they_are_asked_for(
    policy: Call, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[1;35mRR" in policy("matrix", file).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in policy("matrix", file).out


def on_a_terminal(file: object, columns: int, **environment: str) -> list[str]:
    """What a terminal of that width is shown."""
    code = (
        "import fcntl, struct, sys, termios;"
        f"fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('HHHH', 24, {columns}, 0, 0));"
        f"from auditctl.cli.app import run; run(['auditctl', 'policy', 'matrix', {str(file)!r}, '--user', 'admin'])"
    )
    plain = {
        key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    }
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=follower, cwd=ROOT, env={**plain, "TERM": "xterm-256color", **environment}
    ) as process:
        os.close(follower)
        parts = []
        try:
            while part := os.read(leader, 65536):
                parts.append(part)
        except OSError:  # the other end is closed
            pass
        os.close(leader)
        assert process.wait() == 0
    return b"".join(parts).decode().replace("\r", "").splitlines()


def test_a_terminal_gets_colours_unless_no_color_is_set(file: Path) -> None:
    assert any("\x1b[" in line for line in on_a_terminal(file, 120))
    assert not any("\x1b" in line for line in on_a_terminal(file, 120, NO_COLOR="1"))


@pytest.mark.parametrize(("columns", "head"), [(140, "deletecollection"), (80, "delcol"), (64, "dcol")])
def test_a_narrow_terminal_gets_shorter_names(columns: int, head: str) -> None:
    lines = on_a_terminal("baseline", columns, NO_COLOR="1")
    assert all(len(line) <= columns for line in lines)
    assert any(re.fullmatch(rf"RESOURCE +get .* {head}", line) for line in lines)


def test_a_very_narrow_terminal_gets_a_list(file: Path) -> None:
    lines = on_a_terminal(file, 40, NO_COLOR="1")
    assert all(len(line) <= 40 for line in lines[1:])  # the first holds the path, and is never cut
    assert lines[lines.index("secrets") + 1] == "   -/RR!(2) get"


def test_escapes_in_a_policy_do_not_reach_the_terminal(policy: Call, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        HEAD
        + '- level: None\n  users: ["\\e[31mred\\u202e"]\n  namespaces: ["\\e[5m"]\n- level: None\n  namespaces: ["\\e]0;x\\a"]\n'
        '- level: Metadata\n  resources: [{group: x.io, resources: ["\\e[2J"]}]\n'
    )
    for words in (("matrix", path), ("explain", path, "get", "pods"), ("validate", path)):
        ran = policy(*words)
        assert ran.code in (0, 1)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", ran.out + ran.err), words


def test_the_object_has_every_cell(policy: Call, file: Path) -> None:
    told = policy("matrix", file, "-o", "json", "--user", "admin", "--user", "nobody").json
    assert list(told) == ["file", "kubernetes", "rules", "tables", "otherUsersAndGroups", "rowsLeftOut"]
    assert told["rules"][2] == {"rule": 2, "level": "RequestResponse", "lines": [8, 14]}
    (table,) = told["tables"]
    assert table["users"] == [
        {"label": "admin", "user": "kubernetes-admin", "groups": ["kubeadm:cluster-admins", "system:authenticated"]},
        {"label": "nobody", "user": None, "groups": []},
    ]
    (secrets,) = [row for row in table["resources"] if row["resource"] == "secrets"]
    assert (secrets["scope"], secrets["namedByPolicy"]) == ("namespaced", False)
    assert secrets["cells"]["get"] == {
        "levels": ["None", "RequestResponse"],
        "depends": True,
        "cases": [
            {"level": "None", "rule": 0, "namespaces": ["kube-system"], "names": None},
            {"level": "RequestResponse", "rule": 2, "namespaces": None, "names": None},
        ],
        "complete": True,
        "sensitive": "Secrets: credentials are read or changed",
        "concern": "not recorded",
    }
    (metrics,) = [row for row in table["nonResourceURLs"] if row["path"] == "/metrics"]
    assert metrics["cells"]["get"]["levels"] == ["Metadata"]


class Walk(html.parser.HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


def test_the_page_needs_nothing_else_and_nothing_in_it_leads_out(page: Path) -> None:
    text = page.read_text()
    elements = Walk(text).elements
    assert {tag for tag, _ in elements} & {"link", "img", "iframe", "object", "embed", "base", "form", "i"} == set()
    for tag, attributes in elements:
        assert not attributes.keys() & {"src", "srcset", "style", "action", "background", "poster"}, tag
        assert (attributes.get("href") or "#").startswith("#"), attributes
        assert not any(name.startswith("on") for name in attributes), attributes
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "://" not in text
    (guard,) = [a["content"] or "" for tag, a in elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert guard.startswith("default-src 'none'")
    assert [a.get("type") for tag, a in elements if tag == "script"] == ["application/json", None]
    assert HOSTILE not in text


def test_every_cell_of_the_page_can_be_reached_and_says_in_words_what_its_colour_says(page: Path) -> None:
    cells = [attributes for tag, attributes in Walk(page.read_text()).elements if tag == "a" and "data-c" in attributes]
    assert len(cells) > 900
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells:
        assert cell["href"] == f"#{cell['id']}"
        assert re.search(r": (None|Metadata|Request|RequestResponse) ", cell["aria-label"] or ""), cell
        assert cell["title"] == cell["aria-label"]


def test_the_page_is_written_whole_with_the_usual_mode_and_again_over_itself(
    policy: Call, file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.html"
    old = os.umask(0o022)
    try:
        ran = policy("matrix", file, "--html", out)
    finally:
        os.umask(old)
    assert (ran.code, ran.out) == (0, f"Wrote {out}.\n")
    assert stat.S_IMODE(out.stat().st_mode) == 0o644
    out.chmod(0o640)
    link = tmp_path / "link.html"
    link.symlink_to(out)
    assert policy("matrix", "baseline", "--html", link).code == 0
    assert link.is_symlink()
    assert "<h1>baseline</h1>" in out.read_text()
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.glob("*")) == ["link.html", "p.html", "policy.yaml"]
    assert policy("matrix", file, "--html", out, "-o", "json").json["html"] == str(out)


def test_the_page_can_go_to_standard_output(policy: Call, file: Path) -> None:
    ran = policy("matrix", file, "--html", "-")
    assert ran.out.startswith("<!doctype html>")
    assert ran.out.endswith("</html>\n")


def test_a_place_that_cannot_be_written_is_one_sentence(policy: Call, file: Path, tmp_path: Path) -> None:
    for out, words in (
        (tmp_path, "it is a directory"),
        (tmp_path / "none" / "p.html", f"there is no directory {tmp_path / 'none'}"),
        (file / "p.html", "not a directory"),
        (tmp_path / ("x" * 300), "file name too long"),
    ):
        ran = policy("matrix", file, "--html", out)
        assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1), ran
        assert words in ran.err
    assert file.read_text() == TEXT
    assert policy("matrix", file, "--html", "").code == 2


def test_a_pipe_gets_the_page_and_may_close_early(policy: Call, file: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["head", "-c", "15", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        ran = policy("matrix", file, "--html", pipe)
        assert reader.communicate()[0] == "<!doctype html>"
    assert (ran.code, ran.err) == (0, "")
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("who", ["", " ", "alice of", "alice and bob"])
def test_someone_who_is_no_user_is_usage(policy: Call, file: Path, who: str) -> None:
    ran = policy("matrix", file, "--user", who)
    assert (ran.code, ran.out) == (2, "")
    assert "USER [of GROUP...]" in ran.err


def test_a_refused_policy_has_no_picture(policy: Call, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(HEAD + "- level: metadata\n")
    ran = policy("matrix", path, "--html", tmp_path / "p.html")
    assert (ran.code, ran.out) == (3, "")
    assert f"{path}:4:10" in ran.err
    assert not (tmp_path / "p.html").exists()


def opened(page: Path, fragment: str, profile: Path) -> str:
    """The document as it is in a browser once its script has run."""
    if BROWSER is None:
        pytest.skip("no Chromium is installed here")
    quiet = ("quic", "background-networking", "component-update", "sync", "gpu", "dev-shm-usage")
    ran = subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in quiet),
            f"--user-data-dir={profile}", "--virtual-time-budget=2000", "--dump-dom", f"{page.as_uri()}#{fragment}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_a_browser_shows_the_rule_of_the_cell_that_its_address_names(page: Path, tmp_path: Path) -> None:
    shown = opened(page, "t0:get:secrets", tmp_path / "profile")
    told = shown.partition('id="told"')[2].partition("</div><ol")[0].partition('<ol class="source"')[0]
    assert "<h2>get secrets by admin</h2>" in told
    assert "in kube-system: rules[0], lines 4\u20135" in told
    assert "else: rules[2], lines 8\u201314" in told
    assert "It matches: verbs holds get; resources hold secrets of group core." in told
    assert "Look twice: it is in part not recorded." in told
    assert re.findall(r'<li data-n="(\d+)" class="hit">', shown) == ["4", "5", *map(str, range(8, 15))]
    (chosen,) = re.findall(r'<a [^>]*aria-current="true"[^>]*data-c=|<a [^>]*data-c=[^>]*aria-current="true"', shown)
    assert 'id="t0:get:secrets"' in chosen
    assert '<aside class="card open"' in shown


def test_a_browser_runs_nothing_that_a_policy_says(page: Path, tmp_path: Path) -> None:
    shown = opened(page, "t1:get:pods", tmp_path / "profile")
    assert '&lt;script&gt;window.name="mine"&lt;/script&gt;</h2>' in shown
    assert re.findall(r"<script[^>]*>", shown) == ['<script type="application/json" id="facts">', "<script>"]
    assert "<img" not in shown
    facts = shown.partition('id="facts">')[2].partition("</script>")[0]
    assert json.loads(facts)["rules"][1] == [6, 7]
