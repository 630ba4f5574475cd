"""Draws a `Figure` as PNG or SVG, light or dark. What is in it is decided in figures.py.

Own values are filled, published ones hollow; methods differ in colour and in the shape of their mark, so that nothing
hangs on colour alone (colours after Okabe and Ito, darkened or lightened to stand on white or on black).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import cos, pi, sin
from textwrap import fill

from .canvas import canvas, plain_axis
from .charts import DARK, LIGHT
from .figures import AXES, Figure, Mark

WIDTH, WIDE = 7.8, 12.4  # inches; the page shows two of the first side by side
_ROW = 0.36  # inches of a row
_RADARS = 5  # side by side
# Per method: mark, colour on white, colour on black.
_LOOKS = {
    "alphaedit": ("o", "#127475", "#4cc2b0"),
    "memit": ("s", "#0a5fa4", "#69b7ee"),
    "rome": ("^", "#b8480e", "#f08c52"),
    "grace": ("D", "#8a3f7b", "#dd9acb"),
    "wise": ("v", "#996600", "#e6b34a"),
    "ike": ("P", "#5b6876", "#a9b5c1"),
    "ga": ("X", "#7a2e2e", "#e08a8a"),
    "gd": ("<", "#3d6b1f", "#a3d07c"),
    "kl": (">", "#4b4ba8", "#a9a9f0"),
    "dpo": ("p", "#1d2733", "#eef2f5"),
}
_OTHER = ("h", "#5b6876", "#a9b5c1")
_STYLES = ("-", (0, (6, 2)), (0, (6, 2, 1, 2)), (0, (2, 2)))


def draw(figure: Figure, format: str = "svg", dark: bool = False) -> bytes:
    """The figure's picture; where something is missing, a picture that says what."""
    ink = DARK if dark else LIGHT
    if figure.missing:
        with canvas(WIDTH, 1.4, dark, format) as (sheet, out):
            sheet.text(0.02, 0.8, _clean(figure.title), color=ink["ink"], fontsize=13, weight="bold", va="center")
            sheet.text(0.02, 0.4, fill(_clean(figure.missing), 88), color=ink["soft"], fontsize=11, va="center")
        return out.getvalue()
    maker = {"rows": _rows, "lines": _lines, "radar": _radars}[figure.kind]
    return maker(figure, format, dark, ink)


def _rows(figure: Figure, format: str, dark: bool, ink: Mapping[str, str]) -> bytes:
    """A row per series: its mark with whiskers, the published one beside it, both in numbers at the right."""
    series = figure.series
    notes = _Notes(figure, 110)
    with canvas(WIDTH, 1.35 + _ROW * len(series) + notes.height, dark, format) as (sheet, out):
        axis = sheet.subplots()
        axis.axvline(1, color=ink["soft"], linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axis.text(1, -0.85, "unusable, or nothing forgotten", color=ink["soft"], fontsize=9, ha="center", va="center")
        for mark in figure.marks:
            place = series.index(mark.series)
            shape, colour = _look(mark, dark)
            if mark.published:
                axis.plot(mark.value, place, "d", markersize=9, markerfacecolor="none", color=ink["soft"], zorder=3)
            else:
                axis.hlines(place, 0, mark.value, color=colour, linewidth=1.6, alpha=0.35, zorder=2)
                _whisker(axis, mark, mark.value, place, ink, across=True)
                axis.plot(mark.value, place, shape, markersize=8.5, color=colour, zorder=5, clip_on=False)
        for place, name in enumerate(series):
            own = next((m for m in figure.marks if m.series == name and not m.published), None)
            ghost = next((m for m in figure.marks if m.series == name and m.published), None)
            if own:
                _beside(axis, 1.02, place, f"{own.value:.2f}", ink["ink"], weight="bold")
                _beside(axis, 1.11, place, f"n {own.n}", ink["soft"])
            if ghost:
                _beside(axis, 1.2, place, f"{ghost.value:.2f}", ink["soft"])
        _beside(axis, 1.02, -0.85, "own", ink["soft"])
        if any(mark.published for mark in figure.marks):
            _beside(axis, 1.2, -0.85, "paper", ink["soft"])
        axis.set_yticks(range(len(series)), [_clean(name) for name in series])
        axis.set_ylim(len(series) - 0.4, -0.6)
        axis.set_xlim(0, 2)
        axis.set_xticks([0, 0.5, 1, 1.5, 2], ["0", "0.5", "1", "1.5", "2"])
        plain_axis(axis, ink, grid=True)
        _title(sheet, figure, ink)
        axis.set_xlabel(figure.value, color=ink["soft"], fontsize=10)
        notes.put(sheet, ink)
    return out.getvalue()


def _lines(figure: Figure, format: str, dark: bool, ink: Mapping[str, str]) -> bytes:
    """A line per series over a number; the published one of the same colour, dotted and hollow."""
    notes = _Notes(figure, 110)
    with canvas(WIDTH, 4.4 + notes.height, dark, format) as (sheet, out):
        axis = sheet.subplots()
        axis.axhline(1, color=ink["soft"], linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        places = sorted({mark.x for mark in figure.marks})
        reach = (places[-1] - places[0]) or 1
        seen: dict[str, int] = {}
        own_series = list(dict.fromkeys(mark.series for mark in figure.own))
        for number, name in enumerate(own_series):
            own = sorted((m for m in figure.own if m.series == name), key=lambda mark: mark.x)
            theirs = sorted((m for m in figure.marks if m.series == name and m.published), key=lambda mark: mark.x)
            shape, colour = _look(own[0], dark)
            style = _STYLES[seen.get(own[0].method, 0) % len(_STYLES)]
            seen[own[0].method] = seen.get(own[0].method, 0) + 1
            step = min(0.006, 0.05 / len(own_series)) * reach  # so that whiskers don't hide one another
            aside = (number - (len(own_series) - 1) / 2) * step
            xs, ys = [mark.x + aside for mark in own], [mark.value for mark in own]
            for x, mark in zip(xs, own, strict=True):
                _whisker(axis, mark, x, mark.value, ink)
            axis.plot(
                xs,
                ys,
                linestyle=style,
                marker=shape,
                color=colour,
                linewidth=1.8,
                markersize=7,
                label=_clean(name),
                zorder=5,
            )
            if theirs:
                xs, ys = [mark.x for mark in theirs], [mark.value for mark in theirs]
                theirs = dict(marker=shape, markerfacecolor="none", color=colour, linewidth=1, markersize=7, alpha=0.8)
                axis.plot(xs, ys, ":", zorder=3, **theirs)
        axis.set_xticks(places)
        axis.set_ylim(0, 2.1)
        axis.set_yticks([0, 0.5, 1, 1.5, 2], ["0", "0.5", "1", "1.5", "2"])
        plain_axis(axis, ink)
        axis.grid(axis="y", color=ink["line"], linewidth=0.8)
        _title(sheet, figure, ink)
        axis.set_ylabel("Score, at best 2", color=ink["soft"], fontsize=10)
        axis.set_xlabel(figure.x, color=ink["soft"], fontsize=10)
        sheet.legend(loc="outside right upper", frameon=False, labelcolor=ink["ink"], fontsize=9.5, handlelength=3)
        notes.put(sheet, ink)
    return out.getvalue()


def _radars(figure: Figure, format: str, dark: bool, ink: Mapping[str, str]) -> bytes:
    """Small radars: the edited model filled, the original as a thin line, the published one dotted."""
    series = figure.series
    rows = -(-len(series) // _RADARS)
    notes = _Notes(figure, 170)
    with canvas(WIDE, 0.75 + 2.25 * rows + notes.height, dark, format) as (sheet, out):
        axes = sheet.subplots(rows, _RADARS, squeeze=False)
        for place, axis in enumerate(axes.flat):
            axis.set_axis_off()
            axis.set_aspect("equal")
            axis.set_xlim(-1.25, 1.25)
            axis.set_ylim(-0.85, 1.25)
            if place >= len(series):
                continue
            marks = [mark for mark in figure.marks if mark.series == series[place]]
            _, colour = _look(marks[0], dark)
            _web(axis, ink)
            _triangle(axis, [m for m in marks if m.original], color=ink["soft"], linewidth=1.2)
            theirs = dict(color=ink["ink"], linewidth=1.3, linestyle=":", marker="d", markerfacecolor="none")
            _triangle(axis, [m for m in marks if m.published], **theirs)
            own = [m for m in marks if not m.published and not m.original]
            _triangle(axis, own, filled=True, color=colour, linewidth=2.2, marker="o")
            axis.set_title(fill(_clean(series[place]), 30), color=ink["ink"], fontsize=10, weight="bold", pad=4)
        _title(sheet, figure, ink)
        _radar_legend(sheet, figure, dark, ink)
        notes.put(sheet, ink)
    return out.getvalue()


def _at(axis: str, value: float) -> tuple[float, float]:
    """Where a value of an axis of the radar stands; the first axis points up, the others follow clockwise."""
    angle = 2 * pi * [name for name, _, _ in AXES].index(axis) / len(AXES)
    return value * sin(angle), value * cos(angle)


def _web(axis, ink: Mapping[str, str]) -> None:
    """The net behind a radar: triangles at each quarter, the axes and their names."""
    names = [name for name, _, _ in AXES]
    for value in (0.25, 0.5, 0.75, 1):
        axis.plot(
            *zip(*(_at(name, value) for name in (*names, names[0])), strict=True), color=ink["line"], linewidth=0.8
        )
    for name in names:
        axis.plot(*zip((0, 0), _at(name, 1), strict=True), color=ink["line"], linewidth=0.8)
    places = ((0, 1.04, "center"), (1.25, -0.56, "right"), (-1.25, -0.56, "left"))
    for name, (x, y, align) in zip(names, places, strict=True):
        axis.text(x, y, name, color=ink["ink"], fontsize=8.5, ha=align, va="bottom" if y > 0 else "top")
    axis.text(0.03, 1.0, "1", color=ink["soft"], fontsize=7, ha="left", va="top")


def _triangle(axis, marks: Sequence[Mark], filled: bool = False, **style) -> None:
    """Three marks joined; of fewer, those that there are."""
    names = [name for name, _, _ in AXES]
    points = [_at(mark.x, mark.value) for mark in sorted(marks, key=lambda mark: names.index(mark.x))]
    if not points:
        return
    whole = len(points) == len(AXES)
    xs, ys = zip(*(points + points[:1] if whole else points), strict=True)
    axis.plot(xs, ys, markersize=5, zorder=4 if filled else 3, **style)
    if filled and whole:
        axis.fill(xs, ys, color=style["color"], alpha=0.22, zorder=2, linewidth=0)


def _radar_legend(sheet, figure: Figure, dark: bool, ink: Mapping[str, str]) -> None:
    from matplotlib.lines import Line2D

    colours = {_look(mark, dark)[1] for mark in figure.marks if not mark.published and not mark.original}
    # Radars of several colours have none in common; their stroke and mark tell them from the rest.
    edited = colours.pop() if len(colours) == 1 else ink["ink"]
    lines = [
        Line2D([], [], color=edited, linewidth=2.2, marker="o", label="edited"),
        Line2D([], [], color=ink["soft"], linewidth=1.2, label="original"),
    ]
    if any(mark.published for mark in figure.marks):
        lines.append(
            Line2D([], [], color=ink["ink"], linestyle=":", marker="d", markerfacecolor="none", label="published")
        )
    sheet.legend(handles=lines, ncols=3, loc="outside upper right", frameon=False, labelcolor=ink["ink"], fontsize=10)


def _whisker(axis, mark: Mark, x: float, y: float, ink: Mapping[str, str], across: bool = False) -> None:
    """From the lowest to the highest of several runs."""
    if mark.n and mark.n > 1:
        reach = [[mark.value - mark.low], [mark.high - mark.value]]
        kind = {"xerr": reach} if across else {"yerr": reach}
        axis.errorbar(x, y, fmt="none", ecolor=ink["ink"], capsize=3.5, linewidth=1.4, zorder=4, **kind)


def _look(mark: Mark, dark: bool) -> tuple[str, str]:
    shape, *colours = _LOOKS.get(mark.method, _OTHER)
    return shape, colours[dark]


def _beside(axis, x: float, place: int, text: str, colour: str, weight: str = "normal") -> None:
    axis.text(
        x, place, text, transform=axis.get_yaxis_transform(), color=colour, fontsize=9.5, va="center", weight=weight
    )


def _title(sheet, figure: Figure, ink: Mapping[str, str]) -> None:
    sheet.suptitle(figure.title, color=ink["ink"], fontsize=13, weight="bold", x=0.01, ha="left")


class _Notes:
    """The figure's notes as lines below it, and the inches that they take."""

    def __init__(self, figure: Figure, width: int) -> None:
        self.lines = [line for note in figure.notes for line in fill(_clean(note), width).splitlines()]
        self.height = 0.18 * len(self.lines) + 0.12

    def put(self, sheet, ink: Mapping[str, str]) -> None:
        sheet.supxlabel("\n".join(self.lines), color=ink["soft"], fontsize=9, x=0.01, ha="left", linespacing=1.35)


def _clean(text: str) -> str:
    """Without what no picture can show: an SVG with a control character in it opens nowhere."""
    return "".join(c if c.isprintable() else " " for c in text)
