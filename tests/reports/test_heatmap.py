"""The map of a trace as SVG and PNG."""

import re
from xml.etree import ElementTree

import pytest

from unedit_gui.reports.heatmap import describe, png, svg

TRACE = {
    "question": "Who <b>wrote</b> $x$?", "answer": "A & B", "subject": "<script>", "tokens": ["<script>", "$?$", "is"],
    "last": 0, "layers": 4, "window": 2, "clean": 0.9, "corrupted": 0.1, "peak": 2,
    "hidden": [[0.8, 0.4, 0.0, -0.1], [0.0] * 4, [0.0, 0.0, 0.4, 0.8]],
    "mlp": [[0.0, 0.0, 0.8, 0.0], [0.0] * 4, [0.0] * 4],
    "attention": [[0.0] * 4] * 3,
}  # fmt: skip


def shapes(text, kind):
    root = ElementTree.fromstring(text)
    return [e.attrib for e in root.iter() if e.attrib.get("class") == kind]


def test_what_comes_from_users_is_never_read_as_markup():
    text = svg(TRACE)
    root = ElementTree.fromstring(text)
    assert {e.tag for e in root.iter()} == {"svg", "text", "path", "rect"}
    assert "<script>" in [e.text for e in root.iter("text")] and "<b>" in root.attrib["aria-label"]


def test_a_state_that_brings_all_back_is_darkest_and_one_that_brings_nothing_is_left_out():
    cells = shapes(svg(TRACE), "cell")
    count = {c["fill-opacity"]: len(re.findall("M", c["d"])) for c in cells if float(c["d"][1:].split()[0]) < 480}
    assert count == {"1.00": 2, "0.50": 2}  # of the first map
    assert sum(len(re.findall("M", c["d"])) for c in cells) == 5


def test_the_layers_that_are_proposed_are_framed_in_the_row_of_the_subject():
    assert shapes(svg(TRACE), "chosen") == []
    (frame,) = shapes(svg(TRACE, (1, 2)), "chosen")
    (outer, *_) = shapes(svg(TRACE), "frame")
    assert float(frame["width"]) == pytest.approx(float(outer["width"]) / 2, rel=1e-3)
    assert frame["y"] == outer["y"]


def test_where_corruption_took_nothing_there_is_nothing_to_show():
    assert shapes(svg({**TRACE, "corrupted": 0.9, "peak": None}), "cell") == []


def test_a_picture_is_drawn_of_any_text():
    light, dark = png(TRACE), png({**TRACE, "peak": None}, dark=True)
    assert light.startswith(b"\x89PNG") and dark.startswith(b"\x89PNG") and light != dark


def test_it_is_told_in_a_sentence_too():
    assert "around layer 2 bring back most: 0.80" in describe(TRACE)
    assert "No layer" in describe({**TRACE, "peak": None})
