"""The figures show the numbers they are given, in both schemes, and say what was not measured."""

import json

import pytest

from unedit_gui.reports.charts import DARK, LIGHT, METRIC_LABELS, axes_of, bars, radar, table


def group(rouge1, n=10):
    values = dict.fromkeys(METRIC_LABELS, 0.5 if n else None)
    return {**values, "rouge1": rouge1, "n": n}


@pytest.fixture
def scores():
    return {
        "before": {"forget": group(0.98), "rephrased": group(0.8), "retain": group(0.95)},
        "after": {"forget": group(0.05), "rephrased": group(0.25), "retain": group(0.9)},
        "score": {"before": 0.97, "after": 1.85},
        "notes": [],
    }


@pytest.fixture
def unmeasured(scores):
    for when in ("before", "after"):
        scores[when]["retain"] = group(None, 0)
    scores["score"] = {"before": None, "after": None}
    return scores


def texts(figure):
    return json.dumps(figure.to_plotly_json(), default=str)


def test_bars_stand_for_rouge_before_and_after(scores):
    original, edited = bars(scores).data
    assert (original.name, edited.name) == ("Original", "Edited")
    assert list(original.y) == [0.98, 0.8, 0.95]
    assert list(edited.y) == [0.05, 0.25, 0.9]
    assert list(edited.text) == ["0.05", "0.25", "0.90"]


def test_the_radar_turns_forgetting_outward(scores):
    assert axes_of(scores, "after") == pytest.approx({"Reliability": 0.95, "Locality": 0.9, "Generalization": 0.75})
    original, edited = radar(scores).data
    assert list(edited.r) == pytest.approx([0.95, 0.9, 0.75, 0.95])  # closed
    assert [name for name in ("Reliability", "Locality", "Generalization") if name in edited.theta[0]] == [
        "Reliability"
    ]
    assert edited.fill == "toself"


@pytest.mark.parametrize("draw", [bars, radar])
def test_what_was_not_measured_is_said_and_not_drawn_as_zero(draw, unmeasured):
    figure = draw(unmeasured)
    assert "not measured" in texts(figure)
    values = [value for trace in figure.data for value in (trace.y if draw is bars else trace.r)]
    assert None in values and 0.0 not in values


@pytest.mark.parametrize("draw", [bars, radar])
def test_an_open_radar_or_empty_scores_break_nothing(draw):
    figure = draw({"before": {}, "after": {}, "score": {}})
    assert "not measured" in texts(figure)


@pytest.mark.parametrize("draw", [bars, radar])
@pytest.mark.parametrize("dark, ink", [(False, LIGHT), (True, DARK)])
def test_figures_are_transparent_and_wear_the_schemes_colours(draw, dark, ink, scores):
    figure = draw(scores, dark)
    assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)"
    assert figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
    assert figure.layout.font.color == ink["ink"]
    assert figure.layout.font.size >= 16
    assert ink["after"] in texts(figure)


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two #rrggbb colours."""

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("ink, page", [(LIGHT, "#faf8f4"), (DARK, "#171b22")])
def test_type_and_edited_bars_stand_out_from_the_page(ink, page):
    assert contrast(ink["ink"], page) >= 7
    assert contrast(ink["soft"], page) >= 4.5
    assert contrast(ink["after"], page) >= 3


def test_the_table_has_a_row_per_metric_and_the_score_last(scores):
    frame = table(scores)
    assert list(frame.columns) == [
        "Metric",
        "Forget, original",
        "Forget, edited",
        "Rephrased, original",
        "Rephrased, edited",
        "Retain, original",
        "Retain, edited",
    ]
    assert list(frame["Metric"]) == [*METRIC_LABELS.values(), "Questions", "Score (at best 2)"]
    assert frame.iloc[0].tolist() == ["ROUGE-1 recall", 0.98, 0.05, 0.8, 0.25, 0.95, 0.9]
    assert frame.iloc[-1].tolist()[:3] == ["Score (at best 2)", 0.97, 1.85]


def test_the_table_leaves_out_what_was_not_measured(unmeasured):
    frame = table(unmeasured)
    assert frame.iloc[0].tolist() == ["ROUGE-1 recall", 0.98, 0.05, 0.8, 0.25, None, None]
    assert frame.iloc[-1].tolist() == ["Score (at best 2)", *[None] * 6]
