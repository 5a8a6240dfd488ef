"""The README's picture is what the command line says today."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from drawing import PICTURE, draw
from recording import record, seen

NUMBER = re.compile(r"[0-9a-f-]*[0-9][0-9a-fZT-]*")  # ports, pids, times, the names of changes and requests


def said(svg: str) -> str:
    """Its words in order, without what differs from run to run, and without where a line was wrapped."""
    words = "".join(ET.fromstring(svg).itertext())
    return NUMBER.sub("0", re.sub(r"\s", "", words))


@pytest.mark.lab
def test_a_run_of_today_gives_the_same_picture() -> None:
    """If not: `python tests/picture/drawing.py`, and look at it."""
    steps = record()

    assert [step.code for step in steps] == [0, 3, 0, 0]
    assert said(draw(steps)) == said(PICTURE.read_text())


def test_it_asks_nothing_of_anywhere_else() -> None:
    """No address but the name of the format and those in the recorded text; no script, no font file, no style sheet."""
    attributes = [text for element in ET.fromstring(PICTURE.read_text()).iter() for text in element.attrib.values()]
    names = {element.tag.partition("}")[2] for element in ET.fromstring(PICTURE.read_text()).iter()}

    assert not [text for text in attributes if "://" in text or "url(" in text]
    assert names == {"svg", "rect", "circle", "g", "text", "tspan"}


def test_the_screen_is_what_a_terminal_shows() -> None:
    """The live line is drawn over and taken away; colours stay with their words."""
    written = "a\r\n\x1b[?25l\x1b[36m 0.1 s \x1b[0mwaiting\r\x1b[2K\x1b[36m 0.2 s \x1b[0mwaiting\r\n\x1b[?25h\r\x1b[1A\x1b[2K\x1b[1mb\x1b[0m c"
    assert [[(run.style, run.text) for run in line] for line in seen(written)] == [
        [("", "a")],
        [("1", "b"), ("", " c")],
        [],
    ]
