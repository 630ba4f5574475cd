"""The report on runs: one HTML file that needs no network and nothing beside it, and the same in Markdown.

What was asked, of which model, with which settings, on which machine, what came out with all replies, and for each run
the command that makes it again: the runs stand in the file as data (embedded.py). Everything that a model or a user
wrote is escaped; the file has no script, and its policy lets it load nothing and run nothing.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import ChainableUndefined, Environment, FileSystemLoader, Undefined
from markupsafe import Markup

from .. import __version__
from ..runs import Run
from . import published
from .charts import METRIC_LABELS
from .conditions import grouped, labels, model_name
from .drawing import draw
from .embedded import data_block
from .figures import Figure, all_figures
from .tables import COLUMNS, GROUPS, METRICS, big_table, markdown, md, said

TEMPLATES = Path(__file__).resolve().parent / "templates"
# In the order of a run's replies: the group, what it is called.
REPLIES = {
    "forget": "Questions to forget",
    "rephrased": "The same in other words",
    "retain": "Facts that should stay",
    "general": "General facts",
}
SURROUNDINGS = ("device", "dtype", "threads", "processor")


def html(runs: Sequence[Run], name: str = "report.html", ghosts: bool = True) -> str:
    """The report as one HTML document. name: of the file that it is going to be, for the commands in it."""
    style = (TEMPLATES / "report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    figures = [(figure, *(_picture(figure, dark) for dark in (False, True))) for figure in all_figures(runs, ghosts)]
    return (
        _templates()
        .get_template("report.html")
        .render(**_values(runs, name, ghosts), style=Markup(style), digest=digest, figures=figures, data=_block(runs))
    )


def text(runs: Sequence[Run], name: str = "report.html", ghosts: bool = True) -> str:
    """The report in Markdown, for what can't show HTML. The commands in it read the HTML file beside it."""
    return (
        _templates().get_template("report.md").render(**_values(runs, name, ghosts), figures=all_figures(runs, ghosts))
    )


def command(run: Run, name: str = "report.html") -> str:
    """The command that makes a run again from the report: with its model, device, dtype and threads. One line, as a
    second one would stand outside the code in Markdown, where what a stranger wrote could be HTML."""
    options = ["--run", run.id]
    if run.settings.model != "bundled":
        options += ["--model", model_name(run.settings.model)]
    for option in ("device", "dtype", "threads"):
        if run.environment.get(option):
            options += [f"--{option}", str(run.environment[option])]
    return " ".join(shlex.join(["python", "-m", "unedit_gui", "rerun", name, *options]).splitlines())


def _values(runs: Sequence[Run], name: str, ghosts: bool) -> dict[str, Any]:
    table = big_table(runs, ghosts)
    return {
        "version": __version__,
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "runs": [_run(run, name) for run in runs],
        "conditions": list(labels(list(grouped(runs))).values()),
        "models": sorted({model_name(run.settings.model) for run in runs}),
        "table": table,
        "columns": [METRICS[metric] for _, metric in COLUMNS],
        "groups": list(GROUPS.values()),
        "paper": published.PAPER,
    }


def _run(run: Run, name: str) -> dict[str, Any]:
    """What the templates show of a run."""
    settings, scores = run.settings, run.scores
    shown = [
        group
        for group in (*REPLIES, "retain_shared", "retain_apart")
        if scores.get("after", {}).get(group, {}).get("n")
    ]
    return {
        "run": run,
        "settings": settings,
        "model": model_name(settings.model),
        "method": published.METHODS.get(settings.method, settings.method),
        "command": command(run, name),
        "shown": shown,
        "measures": [
            (label, [(run.average(group, metric, "before"), run.average(group, metric)) for group in shown])
            for metric, label in METRIC_LABELS.items()
        ],
        "counts": [run.average(group, "n") for group in shown],
        "score": scores.get("score") or {},
        "notes": scores.get("notes") or [],
        "hparams": sorted(settings.hparams.items()),
        "versions": sorted((run.environment.get("versions") or {}).items()),
        "surroundings": [(key, run.environment[key]) for key in SURROUNDINGS if key in run.environment],
        "asked": list(zip(settings.forget, run.targets or [None] * len(settings.forget), strict=False)),
        "replies": _replies(run.rows),
        "probes": _probes(run.probes),
        "leaks": (run.probes or {}).get("worst") or [],
        "probe_notes": (run.probes or {}).get("notes") or [],
        "seconds": sorted(run.seconds.items()),
    }


def _replies(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The replies by group, and in it those that changed apart from those that stayed."""
    found = []
    for group, title in REPLIES.items():
        own = [row for row in rows if row.get("group") == group]
        changed = [row for row in own if _said(row, "before") != _said(row, "after")]
        same = [row for row in own if _said(row, "before") == _said(row, "after")]
        if own:
            parts = [(word, part) for word, part in (("Changed", changed), ("As before", same)) if part]
            found.append({"title": title, "n": len(own), "changed": len(changed), "parts": parts})
    return found


def _said(row: Mapping[str, Any], when: str) -> str:
    return str((row.get(when) or {}).get("text", ""))


def _probes(probes: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """A line per probe: what it is called, chance, the original's rate and the edit's, and what follows."""
    found = []
    for row in (probes or {}).get("rows") or []:
        edits = row.get("edits") or [{}]
        found.append(
            {
                "label": row.get("label", row.get("name", "")),
                "kind": row.get("kind", ""),
                "chance": row.get("chance"),
                "original": row.get("original") or {},
                "edit": edits[0],
                "verdict": edits[0].get("verdict", ""),
            }
        )
    return found


def _picture(figure: Figure, dark: bool) -> str:
    """The figure as an address that holds all of it."""
    return "data:image/svg+xml;base64," + base64.b64encode(draw(figure, "svg", dark)).decode()


def _block(runs: Sequence[Run]) -> Markup:
    return Markup(data_block(runs))


def number(value: Any, digits: int = 3) -> str:
    """A figure, or a dash where nothing was measured."""
    if value is None or isinstance(value, Undefined):
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def percent(rate: Mapping[str, Any] | float | None) -> str:
    """A rate of a probe: in per cent, or the mean where it is one; a dash where it is damaged."""
    try:
        if not isinstance(rate, Mapping):
            return "–" if rate is None else f"{rate:.0%}"
        if rate.get("value") is None:
            return "no items"
        return f"{rate['value']:.1f}" if rate.get("hits") is None else f"{rate['value']:.0%} of {rate['n']}"
    except (KeyError, TypeError, ValueError, OverflowError):  # anybody may have written it
        return "–"


def one_line(value: Any) -> str:
    """A text of anybody's on one line of Markdown, none of it read as Markdown or HTML."""
    return md("–" if value is None else str(value))


@lru_cache(1)
def _templates() -> Environment:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=ChainableUndefined,  # a run from elsewhere may lack what ours have
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(number=number, percent=percent, md=one_line, said=said)
    found.globals.update(table_markdown=markdown)
    return found
