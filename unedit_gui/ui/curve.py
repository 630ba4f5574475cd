"""The curve of a training, drawn as SVG: live in its step while it trains, and with the result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from unedit_gui.ui.draw import draw
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session
from unedit_gui.ui.words import translate as _

WIDTH, HEIGHT = 420, 110  # of a chart, in the units of its viewBox
# What a point may hold, how it is called, and the line that it should stay below.
SERIES = (
    ("loss", "Loss", None, "What training makes smaller."),
    (
        "held",
        "Other replies",
        "limit",
        "How unlikely the model finds what it used to say to other questions, in nats a token. Above the dashed line it is breaking, and training ends.",  # noqa: E501
    ),
    ("rouge1", "Answered", None, "The share of the answers’ words that it says, asked once the loss is low."),
)


def render(lab: Lab, session: Session) -> str:
    """The curve of the edit that this page has running; nothing where there is none yet."""
    job = session.active("edit")
    return draw("curve", charts=charts(job.curve if job is not None else ()))


def charts(points: Sequence[Mapping[str, float]]) -> list[dict]:
    """For each series with two points or more: its name, hint, path, the last value, and the axis' two ends."""
    found = []
    for name, label, bound, hint in SERIES:
        line = [(p["step"], p[name]) for p in list(points) if _drawable(p, name)]
        if len(line) < 2:
            continue
        limit = next((p[bound] for p in list(points) if bound and _drawable(p, bound)), None)
        values = [y for _, y in line] + ([limit] if limit is not None else [])
        low, high = min(values), max(values)
        left, right = line[0][0], line[-1][0]

        def place(x: float, y: float, left=left, right=right, low=low, high=high) -> str:
            across = (x - left) / (right - left or 1)
            up = (y - low) / (high - low or 1)
            return f"{across * WIDTH:.1f},{HEIGHT - 4 - up * (HEIGHT - 8):.1f}"

        found.append(
            {
                "name": name,
                "label": _(label),
                "hint": _(hint),
                "points": " ".join(place(x, y) for x, y in line),
                "limit": None if limit is None else float(place(left, limit).split(",")[1]),
                "over": limit is not None and line[-1][1] > limit,
                "first": line[0][1],
                "last": line[-1][1],
                "low": low,
                "high": high,
                "steps": int(right),
                "width": WIDTH,
                "height": HEIGHT,
            }
        )
    return found


def _drawable(point: Mapping[str, float], name: str) -> bool:
    return all(isinstance(point.get(key), int | float) and math.isfinite(point[key]) for key in ("step", name))
