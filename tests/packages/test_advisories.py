"""`.ci/advisories.py` asks about every pinned package, and does not call silence an answer."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

CI = Path(__file__).parents[2] / ".ci"
LOCK = "aiohttp==3.9.0 \\\n    --hash=sha256:00\nzipp==3.1 ; python_version < '3.10' \\\n    --hash=sha256:01\n# six==1.0\n"

Answer = Callable[[list[dict[str, Any]]], tuple[int, Any]]


@contextmanager
def database(answer: Answer) -> Iterator[tuple[str, list[list[dict[str, Any]]]]]:
    """A database of this machine; its address, and the queries of each request."""
    requests: list[list[dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            requests.append(queries)
            status, content = answer(queries)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content if isinstance(content, bytes) else json.dumps(content).encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/querybatch", requests
    server.shutdown()
    server.server_close()


def ask(url: str, *files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, CI / "advisories.py", "--url", url, *files], capture_output=True, text=True)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.txt"
    path.write_text(LOCK)
    return path


def test_an_advisory_is_a_line_and_exit_1(lock: Path) -> None:
    """Markers and hashes are no part of a version, and a comment pins nothing; a further page is fetched."""

    def answer(queries: list[dict[str, Any]]) -> tuple[int, Any]:
        if len(queries) == 1:
            return 200, {"results": [{"vulns": [{"id": "PYSEC-2"}]}]}
        return 200, {"results": [{"vulns": [{"id": "PYSEC-1"}], "next_page_token": "more"}, {}]}

    with database(answer) as (url, requests):
        ran = ask(url, lock)

    assert ran.returncode == 1
    assert [line.split(" (")[0] for line in ran.stdout.splitlines()] == [
        "aiohttp 3.9.0: PYSEC-1",
        "aiohttp 3.9.0: PYSEC-2",
    ]
    assert [query["package"]["name"] + query["version"] for query in requests[0]] == ["aiohttp3.9.0", "zipp3.1"]
    assert requests[1][0]["page_token"] == "more"


def test_nothing_known_is_exit_0(lock: Path) -> None:
    with database(lambda queries: (200, {"results": [{} for _ in queries]})) as (url, _):
        ran = ask(url, lock)
    assert (ran.returncode, ran.stdout) == (0, "2 pinned packages: no advisory is known\n")


@pytest.mark.parametrize(
    "answer",
    [(500, {}), (200, b"<html>"), (200, {"results": [{}]}), (200, {"results": None}), (200, [])],
    ids=["error", "no JSON", "too few", "none", "another shape"],
)
def test_no_whole_answer_is_exit_3(lock: Path, answer: tuple[int, Any]) -> None:
    """Silence is said to be silence."""
    with database(lambda queries: answer) as (url, _):
        ran = ask(url, lock)
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr.startswith(f"not asked: {url}: ")
    assert "Nothing is known about 2 pinned packages" in ran.stderr


def test_a_database_out_of_reach_is_exit_3(lock: Path) -> None:
    ran = ask("http://127.0.0.1:1/v1/querybatch", lock)
    assert ran.returncode == 3
    assert "Connection refused" in ran.stderr


def test_what_is_shipped_is_asked_about(tmp_path: Path) -> None:
    """Without a file: the lock of the tests, and the three lists of the packages."""
    with database(lambda queries: (200, {"results": [{} for _ in queries]})) as (url, requests):
        assert ask(url).returncode == 0
    names = {query["package"]["name"] for query in requests[0]}
    assert {"ruamel-yaml", "hatchling", "cffi", "pytest"} <= {name.replace(".", "-") for name in names}
