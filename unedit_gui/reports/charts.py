"""The figures of an evaluation: bars, the three-axis radar, and the table behind them. No torch, no model.

All of them take what `Scores.to_json()` gives (or the same read back from a file) and leave out what was not
measured. Backgrounds are transparent, so a figure sits on whatever the page or a slide has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas
    from plotly.graph_objects import Figure

Json = Mapping[str, Any]

FONT = "Inter, 'Source Sans 3', system-ui, -apple-system, 'Segoe UI', sans-serif"
# Two hues that stay apart for colour-blind eyes and in grey print: quiet slate and teal.
LIGHT = {"ink": "#1d2733", "soft": "#5b6876", "line": "#d9dfe5", "before": "#a3aebb", "after": "#127475"}
DARK = {"ink": "#eef2f5", "soft": "#a9b5c1", "line": "#36424e", "before": "#6f7d8c", "after": "#4cc2b0"}

GROUPS = ("forget", "rephrased", "retain")
MORE = ("retain_shared", "retain_apart", "general")  # shown only where they were measured
_TITLES = {
    "forget": "Forget",
    "rephrased": "Rephrased",
    "retain": "Retain",
    "retain_shared": "Shares a party",
    "retain_apart": "Shares none",
    "general": "General",
}
_AIMS = {group: "should fall" if group in ("forget", "rephrased") else "should stay" for group in _TITLES}
_WHEN = {"before": "Original", "after": "Edited"}
_MISSING = "not measured"

METRIC_LABELS = {
    "rouge1": "ROUGE-1 recall",
    "leak": "Leak",
    "probability": "Probability",
    "probability_normalised": "Probability per token",
    "mrr": "Mean reciprocal rank",
    "hit_ratio": "Top-100 hit ratio",
    "refusal": "Refusals",
    "refusal_on_topic": "Refusals that name the topic",
}
# Each axis with the group it reads and whether a low ROUGE-1 is what is wanted there.
_AXES = (
    ("Reliability", "forget", True),
    ("Locality", "retain", False),
    ("Generalization", "rephrased", True),
)


def bars(scores: Json, dark: bool = False) -> Figure:
    """ROUGE-1 recall of each group of questions, original beside edited."""
    from plotly import graph_objects as go

    ink = DARK if dark else LIGHT
    groups = shown(scores)
    labels = [f"<b>{_TITLES[g]}</b><br><span style='color:{ink['soft']}'>{_AIMS[g]}</span>" for g in groups]
    figure = go.Figure(layout=_layout(ink))
    for when, name in _WHEN.items():
        values = [_value(scores, when, group) for group in groups]
        figure.add_bar(
            name=name,
            x=labels,
            y=values,
            marker={"color": ink[when], "line": {"width": 0}, "cornerradius": 4},
            text=[_MISSING if v is None else f"{v:.2f}" for v in values],
            textposition="outside",
            textfont={"size": 17, "color": ink["ink"]},
            cliponaxis=False,
            customdata=[[_TITLES[g], _value(scores, when, g, "n") or 0] for g in groups],
            hovertemplate="%{customdata[0]}: %{y:.3f} of %{customdata[1]} questions<extra>" + name + "</extra>",
        )
    for place, group in enumerate(groups):  # a bar without a value shows no text of its own
        if all(_value(scores, when, group) is None for when in _WHEN):
            figure.add_annotation(
                x=place, y=0.04, text=_MISSING, showarrow=False, font={"size": 15, "color": ink["soft"]}
            )
    figure.update_layout(barmode="group", bargap=0.38, bargroupgap=0.08)
    figure.update_xaxes(
        tickfont={"size": 16 if len(groups) < 5 else 13}, showgrid=False, linecolor=ink["line"], fixedrange=True
    )
    figure.update_yaxes(
        title={"text": "ROUGE-1 recall", "font": {"size": 15, "color": ink["soft"]}, "standoff": 12},
        range=[0, 1.12],
        tickvals=[0, 0.25, 0.5, 0.75, 1],
        ticktext=["0", "0.25", "0.5", "0.75", "1"],
        tickfont={"size": 15, "color": ink["soft"]},
        gridcolor=ink["line"],
        zeroline=False,
        fixedrange=True,
    )
    return figure


def radar(scores: Json, dark: bool = False) -> Figure:
    """Reliability 1 - R1(forget), locality R1(retain), generalization 1 - R1(rephrased); outward is good."""
    from plotly import graph_objects as go

    ink = DARK if dark else LIGHT
    figure = go.Figure(layout=_layout(ink))
    names = []
    for axis, group, _ in _AXES:
        missing = all(_value(scores, when, group) is None for when in _WHEN)
        hint = f"<br><span style='color:{ink['soft']}'>{_MISSING}</span>" if missing else ""
        names.append(f"<b>{axis}</b>{hint}")
    for when, name in _WHEN.items():
        points = axes_of(scores, when)
        values = [points[axis] for axis, _, _ in _AXES]
        figure.add_scatterpolar(
            name=name,
            r=[*values, values[0]],
            theta=[*names, names[0]],
            mode="lines+markers",
            fill="toself" if None not in values else "none",
            fillcolor=_faded(ink[when], 0.28 if when == "after" else 0.16),
            line={"color": ink[when], "width": 4 if when == "after" else 3},
            marker={"size": 10 if when == "after" else 8, "color": ink[when]},
            connectgaps=True,
            hovertemplate="%{theta}: %{r:.3f}<extra>" + name + "</extra>",
        )
    figure.update_layout(
        margin={"l": 96, "r": 96, "t": 40, "b": 8},
        legend={"orientation": "v", "x": -0.18, "y": 1.08, "yanchor": "top"},
        polar={
            "bgcolor": "rgba(0,0,0,0)",
            "gridshape": "linear",
            "angularaxis": {
                "rotation": 90,
                "direction": "clockwise",
                "tickfont": {"size": 17, "color": ink["ink"]},
                "gridcolor": ink["line"],
                "linecolor": ink["line"],
            },
            "radialaxis": {
                "range": [0, 1],
                "tickvals": [0.25, 0.5, 0.75, 1],
                "ticktext": ["", "0.5", "", "1"],
                "angle": 90,
                "tickangle": 90,
                "tickfont": {"size": 13, "color": ink["soft"]},
                "gridcolor": ink["line"],
                "showline": False,
            },
        },
    )
    return figure


def shown(scores: Json) -> list[str]:
    """The groups that a figure shows: the three of every evaluation, and of the others those that were measured."""
    return [*GROUPS, *(group for group in MORE if _value(scores, "after", group, "n"))]


def axes_of(scores: Json, when: str) -> dict[str, float | None]:
    """The radar's values "before" or "after": reliability, locality, generalization; None if not measured."""
    axes = {}
    for axis, group, low_is_good in _AXES:
        value = _value(scores, when, group)
        axes[axis] = None if value is None else 1 - value if low_is_good else value
    return axes


def table(scores: Json) -> pandas.DataFrame:
    """A row per metric, and two columns (original, edited) per group; the last row is the score."""
    import pandas

    columns = [(group, when) for group in shown(scores) for when in _WHEN]
    names = ["Metric", *(f"{_TITLES[group]}, {_WHEN[when].lower()}" for group, when in columns)]
    rows = [
        [label, *(_rounded(_value(scores, when, group, metric)) for group, when in columns)]
        for metric, label in METRIC_LABELS.items()
    ]
    counts = [_value(scores, when, group, "n") or 0 for group, when in columns]
    rows.append(["Questions", *counts])
    score = scores.get("score", {})
    # The score belongs to no one group: it stands under the first two columns, original and edited.
    rows.append(["Score (at best 2)", *(_rounded(score.get(when)) for when in _WHEN), *[None] * (len(columns) - 2)])
    return pandas.DataFrame(rows, columns=names, dtype=object)


def _value(scores: Json, when: str, group: str, metric: str = "rouge1") -> float | None:
    return ((scores.get(when) or {}).get(group) or {}).get(metric)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _faded(colour: str, alpha: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def _layout(ink: Mapping[str, str]) -> dict[str, Any]:
    """What both figures share; `template` none, so that nothing of plotly's own look comes in."""
    return {
        "template": "none",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 16, "color": ink["ink"]},
        "margin": {"l": 76, "r": 16, "t": 56, "b": 64},
        "height": 400,
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.04,
            "xanchor": "left",
            "yanchor": "bottom",
            "font": {"size": 16},
            "itemclick": False,
            "itemdoubleclick": False,
        },
        "hoverlabel": {"font": {"family": FONT, "size": 15}},
    }
