"""Which logs are read: folders of folders, and tallies that come through a pipe."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from auditctl.log.sources import LogError, close, open_sources
from auditctl.log.tally import Tally
from auditctl.log.tally_file import tally_bytes
from auditctl.system import IS_LINUX

EVENT = b'{"kind":"Event","stageTimestamp":"2026-11-30T10:00:00.000000Z"}\n'


def test_a_folder_with_a_folder_for_each_node_is_the_logs_of_all_nodes(tmp_path: Path) -> None:
    for node in ("cp1", "cp2"):
        (tmp_path / node).mkdir()
        (tmp_path / node / "audit.log").write_bytes(EVENT)
    sources = open_sources([str(tmp_path)])
    close(sources)

    assert [source.name for source in sources] == [str(tmp_path / node / "audit.log") for node in ("cp1", "cp2")]


def test_a_folder_without_any_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cp1").mkdir()

    with pytest.raises(LogError, match="there is no file in this directory"):
        open_sources([str(tmp_path)])


@pytest.mark.skipif(not IS_LINUX, reason="a copy in memory is read by its descriptor")
@pytest.mark.parametrize(("raw", "is_tally"), [(tally_bytes(Tally()), True), (EVENT, False)], ids=["tally", "log"])
def test_a_pipe_is_known_by_its_first_bytes(raw: bytes, is_tally: bool) -> None:
    reading, writing = os.pipe()
    os.write(writing, raw)
    os.close(writing)
    (source,) = open_sources([f"/proc/self/fd/{reading}"])
    close([source])
    os.close(reading)

    assert (source.is_tally, source.streams) == (is_tally, not is_tally)
    assert source.head == (b"" if is_tally else raw)
