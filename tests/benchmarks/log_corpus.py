"""A big audit log made from the recorded ones, with fresh users, object names and audit IDs in every copy.

python tests/benchmarks/log_corpus.py OUT MEGABYTES
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parents[1] / "golden/logs"
_MARK = "\x00"


def templates() -> list[tuple[str, ...]]:
    """Every recorded line, cut where the number of the copy goes."""
    lines = []
    for path in sorted(GOLDEN.glob("mixed-traffic-*.jsonl.gz")):
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            event: dict[str, Any] = json.loads(line)
            name = event.get("objectRef", {}).get("name")
            if event["user"].get("username"):
                event["user"]["username"] += _MARK
            event["auditID"] += _MARK
            if name:
                event["objectRef"]["name"] += _MARK
                event["requestURI"] = event["requestURI"].replace(f"/{name}", f"/{name}{_MARK}", 1)
            text = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
            for plain, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
                text = text.replace(plain, escaped)
            lines.append(tuple(text.split("\\u0000")))
    return lines


def write(out: Path, megabytes: int) -> int:
    """Write copies until the size is reached; the number of copies."""
    lines = templates()
    copies = written = 0
    with out.open("wb") as file:
        while written < megabytes * 1_000_000:
            mark = f"-{copies:x}"
            written += file.write(("\n".join(mark.join(parts) for parts in lines) + "\n").encode())
            copies += 1
    return copies


if __name__ == "__main__":
    print(write(Path(sys.argv[1]), int(sys.argv[2])), "copies")
