"""``/flagz`` as a real server of 1.36 answered: the object, and the text with each of its marks."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditctl.cluster.flagz import flags_of

GOLDEN = Path(__file__).parents[1] / "golden/cluster"


@pytest.mark.parametrize("mark", [":", ": ", "=", " "])
def test_the_text_means_the_same_as_the_object_whatever_its_mark(mark: str) -> None:
    """The recorded text has ``:``; a server draws one of four when it starts."""
    head, _, lines = (GOLDEN / "flagz.txt").read_text().partition("debugging purposes only.\n")
    text = f"{head}debugging purposes only.\n" + "".join(
        f"{mark.join(line.split(':', 1))}\n" for line in lines.splitlines() if line
    )
    read = flags_of((GOLDEN / "flagz.json").read_bytes())

    assert read is not None
    assert read["audit-log-path"] == "/var/log/kubernetes/audit/audit.log"
    found = flags_of(text.encode())
    assert found is not None
    assert {name: value for name, value in found.items() if value} == {
        name: value for name, value in read.items() if value
    }


def test_another_page_is_not_taken_for_it() -> None:
    """A proxy's error page, a Status, nothing."""
    assert [flags_of(body) for body in (b"", b"<html>no = way</html>", b'{"kind": "Status"}', b'{"flags": 7}')] == [
        None
    ] * 4
