"""Figures as numbers: the big table with the four metrics, and what stands behind each figure.

The table has a row per condition (conditions.py) and a column per group of questions and metric, as in the paper's
tables 1 and 2; the paper's own values stand in rows of their own, ROUGE-1 and the score alone (published.py says why).
As CSV it is tidy, a line for each value; as LaTeX it takes the package booktabs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..runs import Run
from ..spreadsheet import csv_of
from . import published
from .conditions import Condition, Spread, grouped, labels, model_labels, model_name, spread, weights_of
from .figures import Figure, rouge_ghost, score_ghost

GROUPS = {"forget": "Forget", "retain": "Retain", "rephrased": "Rephrased"}
METRICS = {"rouge1": "R-1", "probability_normalised": "Prob.", "mrr": "MRR", "hit_ratio": "Hit"}
COLUMNS = tuple((group, metric) for group in GROUPS for metric in METRICS)
_DIRECTION = {"forget": "lower is better", "retain": "higher is better", "rephrased": "lower is better"}
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "−": "$-$",
    "·": r"\textperiodcentered{}",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


@dataclass(frozen=True)
class Row:
    """A condition of ours with the spread of each value, or a published one. runs: how many; 0 for a published one."""

    name: str
    cells: dict[tuple[str, str], Spread | None]
    score: Spread | None
    runs: int
    source: str = ""


@dataclass(frozen=True)
class Table:
    """The big table. notes: what it doesn't say itself."""

    rows: tuple[Row, ...]
    caption: str
    notes: tuple[str, ...]


def big_table(runs: Iterable[Run], ghosts: bool = True) -> Table:
    """The four metrics on the three groups of questions after the edit, by condition; the original first.

    The original's n is of how many draws of questions, however many edits were scored by each.
    """
    found = grouped(runs)
    names = labels(list(found))
    everything = [run for own in found.values() for run in own]
    models = model_labels(found)
    rows = []
    for weights, label in models.items():
        alike = [run for c, own in found.items() if weights_of(c) == weights for run in own]
        own = list({_asked(run): run for run in alike}.values())
        rows.append(_row("Original" + (f", {label}" if len(models) > 1 else ""), own, "before"))
    for condition, own in found.items():
        rows.append(_row(names[condition], own, "after"))
        if ghosts and (theirs := _published(condition)):
            rows.append(theirs)
    return Table(tuple(rows), _caption(found, everything), _table_notes(rows, ghosts))


def _row(name: str, runs: Sequence[Run], when: str) -> Row:
    cells = {(g, m): spread(run.average(g, m, when) for run in runs) for g, m in COLUMNS}
    return Row(name, cells, spread(run.scores.get("score", {}).get(when) for run in runs), len(runs))


def _asked(run: Run) -> str:
    """What the original was asked: the same for every edit that is scored by the same questions."""
    asked = [
        sorted([q["question"], q["answer"], list(q.get("rephrases") or ())] for q in questions)
        for questions in (run.settings.forget, run.settings.retain)
    ]
    return json.dumps(asked)


def _published(condition: Condition) -> Row | None:
    """The paper's row of the number of facts that is nearest."""
    score = score_ghost(condition)
    if score is None:
        return None
    cells: dict[tuple[str, str], Spread | None] = dict.fromkeys(COLUMNS)
    for group in GROUPS:
        ghost = rouge_ghost(condition, group, score.facts)
        if ghost is not None:
            cells[group, "rouge1"] = Spread(ghost.value, ghost.value, ghost.value, 1)
    source = score.source
    return Row(f"paper: {source}", cells, Spread(score.value, score.value, score.value, 1), 0, source)


def _caption(found: dict[Condition, list[Run]], runs: Sequence[Run]) -> str:
    models = ", ".join(sorted({model_name(c.model) for c in found}))
    facts = ", ".join(map(str, sorted({c.facts for c in found})))
    retained = sorted({len(run.settings.retain) for run in runs})
    return (
        f"Unlearning by editing {models or 'no model'}: {facts or 'no'} facts to forget, "
        f"{' or '.join(map(str, retained)) or 'no'} to retain. ROUGE-1 recall of greedy replies of at most 64 tokens; "
        "probability per token, mean reciprocal rank and top-100 hit ratio of the reference, each token given those "
        "before it. Score: 1 - ROUGE-1 (forget) + ROUGE-1 (retain), at best 2. Means over n runs, of the "
        "original over n draws of questions."
    )


def _table_notes(rows: Sequence[Row], ghosts: bool) -> tuple[str, ...]:
    if not rows:
        return ("There are no runs yet.",)
    notes = []
    lacking = [GROUPS[group].lower() for group in GROUPS if all(row.cells[group, "rouge1"] is None for row in rows)]
    if lacking:
        notes.append(f"Not measured in any run: {', '.join(lacking)} questions.")
    if any(row.source for row in rows):
        notes.append(f"Rows “paper” are published in “{published.PAPER}” for the model that they name.")
        notes.append(published.NOT_COMPARABLE)
    return tuple(notes)


# -------------------------------------------------------------------- formats


def table_csv(table: Table) -> str:
    """A line for each value of the table: row, source, group, metric, mean, lowest, highest, n."""
    lines = []
    for row in table.rows:
        cells = [*((group, metric, value) for (group, metric), value in row.cells.items()), ("", "score", row.score)]
        for group, metric, value in cells:
            if value is not None:
                own = [value.low, value.high, value.n] if row.runs else ["", "", ""]
                lines.append([row.name, row.source or "own", group, metric, value.mean, *own])
    return csv_of(["row", "source", "group", "metric", "mean", "low", "high", "n"], lines)


def figures_csv(figures: Sequence[Figure]) -> str:
    """A line for each value of the figures. `source` is "own", or whose published value it is."""
    lines = []
    for figure in figures:
        for mark in figure.marks:
            which = "original" if mark.original else "edited"
            own = [mark.low, mark.high, mark.n] if not mark.published else ["", "", ""]
            source = mark.ghost.source if mark.ghost else "own"
            lines.append([figure.name, mark.series, which, mark.x, mark.value, *own, source])
    return csv_of(["figure", "series", "model", "x", "value", "low", "high", "n", "source"], lines)


def latex(table: Table) -> str:
    """The table for a paper: booktabs, in the size that fits a page's width; values with two digits."""
    width = len(METRICS)
    heads = " & ".join(f"\\multicolumn{{{width}}}{{c}}{{{tex(title)}}}" for title in GROUPS.values())
    rules = " ".join(f"\\cmidrule(lr){{{2 + i * width}-{1 + (i + 1) * width}}}" for i in range(len(GROUPS)))
    lines = [
        "% needs \\usepackage{booktabs} and \\usepackage{graphicx}",
        "\\begin{table*}[t]",
        "\\centering",
        "\\resizebox{\\textwidth}{!}{%",
        f"\\begin{{tabular}}{{l{'r' * len(COLUMNS)}rr}}",
        "\\toprule",
        f" & {heads} & & \\\\",
        rules,
        f"Method & {' & '.join(tex(METRICS[metric]) for _, metric in COLUMNS)} & Score & n \\\\",
        "\\midrule",
    ]
    for row in table.rows:
        cells = [_two(value) for value in row.cells.values()]
        name = f"\\quad\\emph{{{tex(row.name)}}}" if row.source else tex(row.name)
        lines.append(f"{name} & {' & '.join(cells)} & {_ranged(row.score)} & {row.runs or '--'} \\\\")
    notes = " ".join((table.caption, "In brackets the lowest and the highest run.", *table.notes))
    lines += [
        "\\bottomrule",
        "\\end{tabular}}",
        f"\\caption{{{tex(notes)}}}",
        "\\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def markdown(table: Table) -> str:
    """The table for a plain text."""
    heads = ["", *(f"{GROUPS[group]} {METRICS[metric]}" for group, metric in COLUMNS), "Score", "n"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in table.rows:
        cells = [said(value) for value in row.cells.values()]
        lines.append(f"| {' | '.join([md(row.name), *cells, said(row.score), str(row.runs or '–')])} |")
    return "\n".join(lines)


def said(value: Spread | None) -> str:
    """A value as people read it."""
    return "–" if value is None else f"{value.mean:.2f}"


def tex(text: str) -> str:
    """A text that LaTeX shows as it is: nothing in it is a command."""
    return "".join(_LATEX.get(c, c) if c.isprintable() else " " for c in text)


def md(text: str) -> str:
    """A text that Markdown shows as it is, on one line, in a table too."""
    flat = " ".join(text.split())
    return "".join(f"\\{c}" if c in "\\`*_[]<>#|~&$" else c for c in flat)


def _two(value: Spread | None) -> str:
    return "--" if value is None else f"{value.mean:.2f}"


def _ranged(value: Spread | None) -> str:
    if value is None or value.n < 2:
        return _two(value)
    return f"{value.mean:.2f} {{\\scriptsize [{value.low:.2f}, {value.high:.2f}]}}"
