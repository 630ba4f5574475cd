"""The map of a causal trace, tokens by layers: as SVG for the page, as PNG for a slide. No torch, no model.

Both take what `Trace.to_json()` gives. Dark is where a restored state brings the answer back; the scale ends at all
that corruption took away.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from .charts import DARK, LIGHT

Json = Mapping[str, Any]

PANELS = {
    "hidden": "State after a layer",
    "mlp": "MLPs of {window} layers around it",
    "attention": "Attention of {window} layers around it",
}
_SHADES = 12
# Sizes of the SVG, in its own units (a page 1180 wide).
_WIDTH, _LABELS, _GAP, _ROW, _TOP, _BOTTOM = 1180, 128, 26, 30, 34, 46


def svg(trace: Json, chosen: Sequence[int] = ()) -> str:
    """The three maps side by side. Colours come from the page's style (classes cell, label, frame, chosen).

    chosen: layers that are framed in the row of the subject's last token of the MLPs' map.
    """
    tokens, layers = trace["tokens"], trace["layers"]
    wide = (_WIDTH - _LABELS - _GAP * len(PANELS)) / len(PANELS)
    cell, height = wide / layers, _ROW * len(tokens)
    parts = []
    for row, token in enumerate(tokens):
        kind = "label subject" if row <= trace["last"] else "label"
        y = _TOP + _ROW * (row + 0.5)
        parts.append(
            f'<text class="{kind}" x="{_LABELS - 10}" y="{y:g}" text-anchor="end">{escape(_short(token))}</text>'
        )
    for place, (kind, title) in enumerate(PANELS.items()):
        left = _LABELS + place * (wide + _GAP)
        parts.append(f'<text class="title" x="{left:g}" y="18">{escape(title.format(**trace))}</text>')
        for shade, path in _paths(_scaled(trace, kind), left, cell).items():
            parts.append(f'<path class="cell" fill-opacity="{shade / _SHADES:.2f}" d="{path}"/>')
        parts.append(f'<rect class="frame" x="{left:g}" y="{_TOP}" width="{wide:g}" height="{height}"/>')
        for layer in _ticks(layers):
            x = left + cell * (layer + 0.5)
            parts.append(f'<text class="tick" x="{x:g}" y="{_TOP + height + 20}" text-anchor="middle">{layer}</text>')
        parts.append(
            f'<text class="tick" x="{left + wide / 2:g}" y="{_TOP + height + 40}" text-anchor="middle">layer</text>'
        )
        if kind == "mlp" and chosen:
            x, y, w = left + cell * min(chosen), _TOP + _ROW * trace["last"], cell * (max(chosen) - min(chosen) + 1)
            parts.append(f'<rect class="chosen" x="{x:g}" y="{y:g}" width="{w:g}" height="{_ROW}"/>')
    size = f"0 0 {_WIDTH} {_TOP + height + _BOTTOM}"
    return (
        f'<svg class="heat" viewBox="{size}" role="img" aria-label="{escape(describe(trace))}">{"".join(parts)}</svg>'
    )


def png(trace: Json, dark: bool = False) -> bytes:
    """The same as a picture, with question and answer above it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    ink = DARK if dark else LIGHT
    paper = "#101319" if dark else "#ffffff"
    colours = LinearSegmentedColormap.from_list("trace", [paper, ink["after"]])
    tokens, layers = trace["tokens"], trace["layers"]
    figure = Figure(figsize=(15, 2.1 + 0.36 * len(tokens)), dpi=130, facecolor=paper, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(_plain(_headline(trace)), color=ink["ink"], fontsize=16, x=0.01, ha="left")
    axes = figure.subplots(1, len(PANELS), sharey=True)
    for axis, (kind, title) in zip(axes, PANELS.items(), strict=True):
        image = axis.imshow(_scaled(trace, kind), cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
        axis.set_title(title.format(**trace), color=ink["ink"], fontsize=13, loc="left")
        axis.set_xlabel("layer", color=ink["soft"], fontsize=12)
        axis.set_xticks(_ticks(layers))
        axis.set_yticks(range(len(tokens)), [_plain(_short(token)) for token in tokens])
        axis.tick_params(colors=ink["ink"], labelsize=12, length=0)
        for spine in axis.spines.values():
            spine.set_color(ink["line"])
    for label in axes[0].get_yticklabels()[: trace["last"] + 1]:
        label.set_fontweight("bold")
    bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=12)
    bar.set_ticks([0, 1], labels=["nothing", "all of it"])
    bar.ax.tick_params(colors=ink["ink"], labelsize=11, length=0)
    bar.outline.set_edgecolor(ink["line"])
    out = io.BytesIO()
    figure.savefig(out, format="png", facecolor=paper)
    return out.getvalue()


def describe(trace: Json) -> str:
    """The map in a sentence, for those who can't see it."""
    if trace["peak"] is None:
        return f"{_headline(trace)} No layer's MLPs bring much of it back at the subject's last token."
    most = trace["mlp"][trace["last"]][trace["peak"]]
    where = f"At the last token of “{trace['subject']}” the MLPs around layer {trace['peak']}"
    return f"{_headline(trace)} {where} bring back most: {most:.2f}."


def _headline(trace: Json) -> str:
    return (
        f"{trace['question']} → {trace['answer']}: {trace['clean']:.2f}, with “{trace['subject']}” corrupted "
        f"{trace['corrupted']:.2f}."
    )


def _scaled(trace: Json, kind: str) -> list[list[float]]:
    """Effects as shares of all that corruption took, from 0 to 1."""
    most = trace["clean"] - trace["corrupted"]
    return [[min(1.0, max(0.0, value / most)) if most > 0 else 0.0 for value in row] for row in trace[kind]]


def _paths(rows: Sequence[Sequence[float]], left: float, cell: float) -> dict[int, str]:
    """The cells of a map by their shade: one path for each, which is a tenth of the bytes of a cell each."""
    found: dict[int, list[str]] = {}
    for row, values in enumerate(rows):
        for layer, value in enumerate(values):
            shade = round(value * _SHADES)
            if shade:
                x, y = left + cell * layer, _TOP + _ROW * row
                found.setdefault(shade, []).append(f"M{x:.1f} {y}h{cell:.1f}v{_ROW}h-{cell:.1f}z")
    return {shade: "".join(path) for shade, path in sorted(found.items())}


def _ticks(layers: int) -> list[int]:
    step = next(step for step in (1, 2, 5, 10, 20, 50) if layers / step <= 8)
    return list(range(0, layers, step))


def _short(token: str) -> str:
    return token if len(token) <= 14 else token[:13] + "…"


def _plain(text: str) -> str:
    """No mathematics: matplotlib reads what stands between two dollar signs as such."""
    return text.replace("$", r"\$")
