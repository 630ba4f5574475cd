"""The charts of a study, as PNG and SVG: each condition's figures with intervals, and how its ratings spread.

Both take `Analysis.to_json()` (or one of its two `Results`, as JSON). They draw what was computed and nothing else:
an undefined figure is said to be that. The first is laid out like figure 6 of "Editing as Unlearning", a panel per
criterion, with the forget quality beside the ratings that hang on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .canvas import canvas, plain_axis
from .charts import DARK, LIGHT

Json = Mapping[str, Any]

PANELS = {
    "forgotten": ("Forgotten", "share of replies", (0, 1)),
    "entailment": ("Entailment", "mean level, where forgotten", (1, 5)),
    "trust": ("Trust", "mean level, where forgotten", (1, 5)),
    "trusted": ("Forgotten and trusted", "share of replies", (0, 1)),
}
SCALES = {"entailment": "Entailment", "trust": "Trust"}
# From brown to teal over grey (ColorBrewer's BrBG): apart for colour-blind eyes.
_LEVELS = ("#a6611a", "#dfc27d", "#dddddd", "#80cdc1", "#018571")
_APART = 0.07  # else the last tick of a panel runs into the next one's
_ON_LEVEL = ("#ffffff", "#1d2733", "#1d2733", "#1d2733", "#ffffff")


def means(analysis: Json, format: str = "png", dark: bool = False, unflagged: bool = False) -> bytes:
    """A bar with its clustered 95 % interval for each condition, in a panel per criterion; n at each bar.

    Conditions with self-improvement (first of a pair of the planned contrast) are teal.
    """
    results, ink = _results(analysis, unflagged), DARK if dark else LIGHT
    conditions = results["conditions"]
    improved = {pair[0] for pair in (analysis.get("contrast") or {}).get("pairs", ())}
    with canvas(15, 1.5 + 0.52 * len(conditions), dark, format) as (figure, out):
        figure.get_layout_engine().set(wspace=_APART)
        axes = figure.subplots(1, len(PANELS), sharey=True)
        for axis, (criterion, (title, label, bounds)) in zip(axes, PANELS.items(), strict=True):
            for place, condition in enumerate(conditions):
                stat = condition["means"][criterion]
                colour = ink["after"] if condition["name"] in improved else ink["before"]
                _bar(axis, place, stat, bounds, colour, ink)
            axis.set_title(title, color=ink["ink"], fontsize=14, loc="left")
            axis.set_xlabel(label, color=ink["soft"], fontsize=11)
            axis.set_xlim(*bounds)
            axis.set_xticks(*(([0, 0.5, 1], ["0", "0.5", "1"]) if bounds[1] == 1 else ([1, 2, 3, 4, 5],)))
            plain_axis(axis, ink, grid=True)
        axes[0].set_yticks(range(len(conditions)), [condition["name"] for condition in conditions])
        axes[0].set_ylim(len(conditions) - 0.4, -0.6)
    return out.getvalue()


def levels(analysis: Json, format: str = "png", dark: bool = False, unflagged: bool = False) -> bytes:
    """Diverging bars of the five levels: shares of the replies that were forgotten, around the middle of level 3."""
    results, ink = _results(analysis, unflagged), DARK if dark else LIGHT
    conditions = results["conditions"]
    with canvas(15, 1.9 + 0.52 * len(conditions), dark, format) as (figure, out):
        figure.get_layout_engine().set(wspace=_APART)
        axes = figure.subplots(1, len(SCALES), sharey=True)
        for axis, (scale, title) in zip(axes, SCALES.items(), strict=True):
            for place, condition in enumerate(conditions):
                _diverging(axis, place, condition["levels"][scale], condition["judgements"], ink)
            axis.axvline(0, color=ink["soft"], linewidth=0.8, zorder=3)
            axis.set_title(title, color=ink["ink"], fontsize=14, loc="left")
            axis.set_xlabel("share of forgotten replies, around level 3", color=ink["soft"], fontsize=11)
            axis.set_xlim(-1, 1)
            axis.set_xticks([-1, -0.5, 0, 0.5, 1], ["100 %", "50 %", "0", "50 %", "100 %"])
            plain_axis(axis, ink)
        axes[0].set_yticks(range(len(conditions)), [condition["name"] for condition in conditions])
        axes[0].set_ylim(len(conditions) - 0.4, -0.6)
        _legend(figure, ink)
    return out.getvalue()


def _bar(axis, place: int, stat: Json, bounds: tuple[int, int], colour: str, ink: Json) -> None:
    start, end = bounds
    if stat["value"] is None:
        axis.text(start, place, f" undefined: {stat['why']}", va="center", fontsize=9, color=ink["soft"])
        return
    axis.barh(place, stat["value"] - start, left=start, height=0.62, color=colour, linewidth=0)
    if stat["low"] is not None:
        reach = [[stat["value"] - stat["low"]], [stat["high"] - stat["value"]]]
        axis.errorbar(stat["value"], place, xerr=reach, color=ink["ink"], capsize=3, linewidth=1.4)
    text = f"{stat['value']:.2f}  n {stat['n']}"
    axis.text(end, place - 0.36, text, ha="right", va="bottom", fontsize=8.5, color=ink["soft"])


def _diverging(axis, place: int, counts: Sequence[int], judged: int, ink: Json) -> None:
    total = sum(counts)
    if not total:
        axis.text(0, place, "none forgotten", ha="center", va="center", fontsize=10, color=ink["soft"])
        return
    left = -(counts[0] + counts[1] + counts[2] / 2) / total
    for level, count in enumerate(counts):
        share = count / total
        axis.barh(place, share, left=left, height=0.62, color=_LEVELS[level], linewidth=0)
        if share >= 0.06:
            middle = left + share / 2
            axis.text(
                middle, place, f"{share:.0%}", ha="center", va="center", fontsize=9, color=_ON_LEVEL[level], zorder=4
            )
        left += share
    note = f"n {total} of {judged}"
    axis.text(1, place - 0.34, note, ha="right", va="bottom", fontsize=8.5, color=ink["soft"])


def _legend(figure, ink: Json) -> None:
    from matplotlib.patches import Patch

    words = ("1 lowest", "2", "3", "4", "5 highest")
    patches = [Patch(color=colour, label=word) for colour, word in zip(_LEVELS, words, strict=True)]
    figure.legend(
        handles=patches, ncols=5, loc="outside upper right", frameon=False, labelcolor=ink["ink"], fontsize=11
    )


def _results(analysis: Json, unflagged: bool) -> Json:
    results = analysis["unflagged" if unflagged else "everybody"]
    return results if results is not None else analysis["everybody"]
