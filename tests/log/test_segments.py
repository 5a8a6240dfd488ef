"""Streams: what has been read of one already comes first, compressed or not."""

from __future__ import annotations

import gzip
import os

import pytest

from auditctl.log.segments import LogSegment, opened

TEXT = b'{"kind":"Event"}\n' * 1000


@pytest.mark.parametrize("raw", [TEXT, gzip.compress(TEXT)], ids=["plain", "compressed"])
@pytest.mark.parametrize("length", [0, 1, 7, 200])
def test_a_stream_goes_on_behind_what_has_been_read(raw: bytes, length: int) -> None:
    reading, writing = os.pipe()
    os.write(writing, raw[length:])
    os.close(writing)
    file = opened(LogSegment("-", reading, streams=True, head=raw[:length]))
    text = b""
    while chunk := file.read(4096):
        text += chunk
    file.close()
    os.close(reading)

    assert text == TEXT
