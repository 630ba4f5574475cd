"""The charts of a study, from figures as JSON."""

from xml.etree import ElementTree

import pytest

from unedit_gui.reports.study_charts import levels, means

NOTHING = {"value": None, "n": 0, "low": None, "high": None, "why": "no reply was judged forgotten"}


def stat(value, n=20):
    return {"value": value, "n": n, "low": value * 0.9, "high": value * 1.1, "why": ""}


def condition(name, **changed):
    figures = {"forgotten": stat(0.8), "entailment": stat(3.0), "trust": stat(3.5), "trusted": stat(0.4), **changed}
    counts = (0,) * 5 if "trust" in changed else (1, 2, 3, 4, 6)
    return {"name": name, "judgements": 20, "means": figures, "levels": {"entailment": counts, "trust": counts}}


FOUND = {
    "contrast": {"name": "x", "pairs": [["<b> $x^$ & |", "plain"]]},
    "everybody": {
        "conditions": [
            condition("plain"), condition("<b> $x^$ & |"), condition("never", entailment=NOTHING, trust=NOTHING),
        ]
    },
    "unflagged": None,
}  # fmt: skip


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter() if element.text and element.text.strip()]


@pytest.mark.parametrize("draw", [means, levels])
def test_names_are_never_read_as_mathematics_or_markup_and_the_bytes_stay_the_same(draw):
    svg = draw(FOUND, "svg")
    assert {"plain", "never", "<b> $x^$ & |"} <= set(texts(svg))
    assert svg == draw(FOUND, "svg")


def test_what_is_undefined_is_said_instead_of_drawn():
    assert [text.strip() for text in texts(means(FOUND, "svg"))].count(f"undefined: {NOTHING['why']}") == 2
    assert texts(levels(FOUND, "svg")).count("none forgotten") == 2


def test_shares_of_the_levels_are_of_the_forgotten_replies():
    found = texts(levels(FOUND, "svg"))
    assert found.count("38%") == 4 and found.count("n 16 of 20") == 4  # six of sixteen, not of twenty


def test_a_picture_is_drawn_light_and_dark():
    light, dark = means(FOUND), means(FOUND, dark=True, unflagged=True)
    assert light.startswith(b"\x89PNG") and dark.startswith(b"\x89PNG") and light != dark
    with pytest.raises(ValueError, match="png, svg"):
        means(FOUND, "exe")
