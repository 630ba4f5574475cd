"""What every chart in a file is drawn on: a figure of matplotlib, light or dark, that becomes a PNG or an SVG.

Text stays text in an SVG and is never read as mathematics; the same figures give the same bytes.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]

PAPER = {False: "#ffffff", True: "#101319"}
FORMATS = ("png", "svg")
_STYLE = {"text.parse_math": False, "svg.fonttype": "none", "svg.hashsalt": "unedit", "font.family": "sans-serif"}
_DRAWING = threading.Lock()  # matplotlib's settings belong to all threads


def plain_axis(axis, ink: Json, grid: bool = False) -> None:
    """No frame but a line on the left; `grid`: lines at the ticks of x."""
    axis.set_facecolor("none")
    axis.tick_params(colors=ink["ink"], labelsize=11, length=0)
    for side, spine in axis.spines.items():
        spine.set_visible(side == "left")
        spine.set_color(ink["line"])
    if grid:
        axis.grid(axis="x", color=ink["line"], linewidth=0.8)
        axis.set_axisbelow(True)


class canvas:
    """A figure of ours, written to `out` when the block ends. No pyplot: it keeps figures that nobody asked it to.

    width, height: in inches.
    """

    def __init__(self, width: float, height: float, dark: bool, format: str):
        if format not in FORMATS:
            raise ValueError(f"format is {format!r}; choose one of {', '.join(FORMATS)}")
        self._size, self._paper, self._format = (width, height), PAPER[dark], format

    def __enter__(self):
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        _DRAWING.acquire()
        self._context = rc_context(_STYLE)
        self._context.__enter__()
        self._figure = Figure(figsize=self._size, dpi=130, facecolor=self._paper, layout="constrained")
        FigureCanvasAgg(self._figure)
        self._out = io.BytesIO()
        return self._figure, self._out

    def __exit__(self, *error) -> None:
        try:
            if error[0] is None:
                metadata = (
                    {"Date": None, "Creator": "Unedit"} if self._format == "svg" else None
                )  # the same bytes again
                self._figure.savefig(self._out, format=self._format, facecolor=self._paper, metadata=metadata)
        finally:
            self._context.__exit__(None, None, None)
            _DRAWING.release()
