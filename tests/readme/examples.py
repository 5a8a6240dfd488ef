"""The README's examples: every command line of its shell blocks, and every command that it names in a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
# Lines that cannot run on a practice node, each with the test that stands for it.
ELSEWHERE = {
    "python3 -m venv .venv && .venv/bin/pip install": "CI runs the second one; tests/packages/test_wheel.py does what the first does",
    "python3 -m venv /opt/auditctl": "tests/packages/test_wheel.py",
    ".ci/build": "tests/packages",
    "pip install . ansible-core": "tests/playbooks/test_collection.py",
    "ansible-playbook": "tests/playbooks/test_rolling.py",
    "scp dist/auditctl.pyz": "tests/packages/test_single_file.py",
    "ssh root@cp1 dpkg -i": "tests/packages/test_deb.py",
    "auditctl recover --unit >": "tests/operations/test_boot.py",
}
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"`(?:kube-|kubectl )?auditctl ([a-z][^`]*)`")
_REMARK = re.compile(r"\s+# .*")


def lines() -> Iterator[str]:
    """Command lines in their order, without the remarks behind them."""
    for block in _BLOCK.findall(README.read_text()):
        yield from (_REMARK.sub("", line) for line in block.splitlines() if line and not line.startswith("#"))


def runnable() -> list[str]:
    """Those that a practice node can run."""
    return [line for line in lines() if not line.startswith(tuple(ELSEWHERE))]


def named() -> list[str]:
    """What stands behind `auditctl` in the sentences."""
    return sorted(set(_NAMED.findall(_BLOCK.sub("", README.read_text()))))
