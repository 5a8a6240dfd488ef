"""Chunks become whole lines with their offsets, wherever they are cut."""

from __future__ import annotations

import io

import pytest

from auditctl.log import line_assembly
from auditctl.log.damage import Damage
from auditctl.log.line_assembly import texts

TEXT = b'{"a":1}\n\0\0\0{"b":2}\n{"c":"' + b"x" * 50 + b'"}\n{"d"'


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 4096])
def test_the_cuts_of_chunks_change_nothing(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_assembly, "CHUNK_BYTES", size)
    found = list(texts(io.BytesIO(TEXT)))
    lines = b"".join(each[0] for each in found if not isinstance(each, Damage))

    assert lines.replace(b"\0", b"") == TEXT.replace(b"\0", b"")
    for each in found:
        if not isinstance(each, Damage):
            assert TEXT[each[1] : each[1] + len(each[0])] == each[0]


@pytest.mark.parametrize("cut", range(1, len(TEXT)))
def test_two_readers_share_a_file_without_loss_or_double(cut: int) -> None:
    parts = [texts(io.BytesIO(TEXT), 0, cut), texts(io.BytesIO(TEXT), cut)]
    lines = [each[0] for part in parts for each in part if not isinstance(each, Damage)]

    assert b"".join(lines).replace(b"\0", b"") == TEXT.replace(b"\0", b"")
