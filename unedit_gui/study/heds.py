"""Texts about a study, drafted from what its file says: the methods paragraph, and the Human Evaluation Datasheet.

The datasheet is HEDS 3.0 (Belz and Thomson 2024, arXiv 2412.07940). What the program knows is filled in; what only the
researchers know is marked TO FILL IN.
"""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from unedit_gui import __version__

from .analysis import Analysis
from .cells import DRAWS
from .export import demographics
from .power import Spread, planned_for
from .store import Study
from .wording import ANCHORS, GONE, QUESTIONS

TODO = "**TO FILL IN**"
# 4.1.1 to 4.2.1 of the datasheet, where the criteria differ.
_QUALITY = {
    "forgotten": {
        "title": "Forget quality",
        "type": "Correctness",
        "aspect": "Content",
        "frame": "Relative to an external frame of reference, the true answer",
        "judgement": "Objective",
        "aggregation": "share of replies judged forgotten",
    },
    "entailment": {
        "title": "Semantic entailment",
        "type": "Goodness",
        "aspect": "Content",
        "frame": "Relative to the input, the question",
        "judgement": "Subjective",
        "aggregation": "mean level where forgotten",
    },
    "trust": {
        "title": "Trustworthiness",
        "type": "Goodness",
        "aspect": "Both form and content",
        "frame": "In its own right, with the true answer in view",
        "judgement": "Subjective",
        "aggregation": "mean level where forgotten",
    },
}
_texts = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=False,  # Markdown; what comes from outside goes through `_line`
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: _line(value) if isinstance(value, str) else value,
)


def heds(study: Study, analysis: Analysis) -> str:
    """The datasheet's draft, as Markdown."""
    found = analysis.everybody
    criteria = [
        {
            **_QUALITY[name],
            "asked": asked,
            "levels": GONE if name == "forgotten" else ANCHORS[name],
            "planned": any(one.criterion == name for one in found.planned),
            "agreement": next(one for one in found.agreement if one.criterion == name),
        }
        for name, asked in QUESTIONS
    ]
    with study.reading() as db:
        sources = [row[0] for row in db.execute("SELECT DISTINCT source FROM items WHERE kind = 'main'")]
    return _texts.get_template("heds.md").render(
        **_told(study, analysis),
        criteria=criteria,
        sources=", ".join(sorted(sources)),
        ahead=_ahead(study, found.raters),
        reached="; ".join(f"{one.difference:g} points {one.chance}" for one in found.power),
        todo=TODO,
    )


def methods(study: Study, analysis: Analysis) -> str:
    """A paragraph for the methods section, as Markdown. Correct what a program can't know."""
    few, most = analysis.everybody.per_rater
    contrast = analysis.contrast
    text = _texts.get_template("methods.md").render(
        **_told(study, analysis),
        contrast=contrast,
        pairs="; ".join(f"{one} against {other}" for one, other in contrast.pairs) if contrast else "",
        each=str(few) if few == most else f"{few} to {most}",
        draws=DRAWS,
        packages=", ".join(f"{name} {version(name)}" for name in ("scipy", "statsmodels", "krippendorff")),
    )
    return _line(text) + "\n"


def _told(study: Study, analysis: Analysis) -> dict[str, Any]:
    told = demographics(study)
    return {
        "study": study,
        "protocol": study.protocol,
        "status": study.status(),
        "balance": study.balance(),
        "found": analysis.everybody,
        "checks": analysis.checks,
        "flags": _many(len(analysis.flags), "participant"),
        "attention": _many(study.balance()["checks"], "attention check"),
        "without": _without(analysis),
        "who": "; ".join(f"{field}: " + ", ".join(f"{v} ({n})" for v, n in row.items()) for field, row in told.items()),
        "unedit": __version__,
    }


def _many(count: int, one: str) -> str:
    return f"{count} {one if count == 1 else one + 's'}"


def _without(analysis: Analysis) -> str:
    """What was done about the flagged."""
    if not analysis.flags:
        return "nobody was left out"
    if analysis.unflagged is None:
        return "all of them are in the figures, because without them nobody is left"
    return "nobody was left out, and all figures were computed with and without them"


def _ahead(study: Study, raters: int) -> str:
    found, spread = planned_for(study.protocol, raters), Spread()
    if not found:
        return "not defined for so few"
    chances = "; ".join(f"{one.difference:g} points {one.chance}" for one in found)
    return (
        f"for {raters} evaluators, before the study: {chances} (supposing standard deviations of {spread.rater:g} "
        f"between evaluators, {spread.taste:g} in taste, {spread.item:g} between items and {spread.noise:g} besides)"
    )


def _line(text: str) -> str:
    """Text from outside on one line; nothing in it can become a heading, a list or HTML."""
    return re.sub(r"\s+", " ", text).strip().replace("<", "&lt;")
