"""The figures as tables: their rows for the command line and the page, and the results as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .analysis import Analysis, Results
from .cells import CRITERIA
from .comparisons import Comparison


def results(analysis: Analysis) -> str:
    """The figures as Markdown tables."""
    parts = ["# Results", *[f"> {note}" for note in analysis.notes]]
    parts += ["## All participants", *_results(analysis.everybody)]
    if analysis.unflagged:
        parts += ["## Without those who were flagged", *_results(analysis.unflagged)]
    if analysis.flags:
        rows = [[rater, ", ".join(why)] for rater, why in analysis.flags.items()]
        parts += ["## Flagged participants", table(["participant", "why"], rows)]
    return "\n\n".join(parts) + "\n"


def _results(found: Results) -> list[str]:
    header, rows = condition_rows(found)
    parts = [f"{found.raters} participants, {found.judgements} judgements.", table(header, rows)]
    if found.planned:
        parts += ["### Planned contrast", table(*comparison_rows(found.planned))]
        parts += ["The same over questions instead of participants:", table(*comparison_rows(found.over_questions))]
        odds = [[CRITERIA[o.criterion], str(o.ratio), p_value(o.p.value, o.p.why)] for o in found.odds]
        parts += ["As odds ratios (GEE):", table(["criterion", "odds ratio [95 %]", "p"], odds)]
        power = [[one.difference, str(one.chance)] for one in found.power]
        parts += ["Power reached (trust, at the observed spread):", table(["difference", "chance"], power)]
    parts += ["### All conditions", table(*omnibus_rows(found))]
    pairs = [pair for one in found.omnibus for pair in one.pairs if pair.p_holm is not None]
    if pairs:
        parts.append(table(*comparison_rows(pairs)))
    parts += ["### Agreement", "All replies that two or more judged:", table(*agreement_rows(found.agreement))]
    if any(one.units for one in found.agreement_common):
        parts += ["The common items alone:", table(*agreement_rows(found.agreement_common))]
    return parts


def condition_rows(found: Results) -> tuple[list[str], list[list[Any]]]:
    """A line per condition: mean and clustered interval of each criterion, with the n of the conditional ones."""
    header = ["condition", "judged", "forgotten [Wilson]", "forgotten [clustered]", "entailment", "n", "trust", "n",
              "forgotten and trusted"]  # fmt: skip
    rows = [
        [c.name, c.judgements, str(c.rates["forgotten"]), str(c.means["forgotten"]), str(c.means["entailment"]),
         c.means["entailment"].n, str(c.means["trust"]), c.means["trust"].n, str(c.means["trusted"])]
        for c in found.conditions
    ]  # fmt: skip
    return header, rows


def comparison_rows(found: Sequence[Comparison]) -> tuple[list[str], list[list[Any]]]:
    header = ["comparison", "criterion", "difference [95 %]", "n", "p", "p (Holm)", "effect r"]
    rows = [
        [one.name, CRITERIA[one.criterion], str(one.difference), one.difference.n, p_value(one.p.value, one.p.why),
         p_value(one.p_holm), str(one.effect)]
        for one in found
    ]  # fmt: skip
    return header, rows


def omnibus_rows(found: Results) -> tuple[list[str], list[list[Any]]]:
    header = ["criterion", "n", "Friedman's chi²", "p", "Kendall's W"]
    rows = [
        [CRITERIA[one.criterion], one.p.n, str(one.chi2), p_value(one.p.value, one.p.why), str(one.w)]
        for one in found.omnibus
    ]
    return header, rows


def agreement_rows(found: Sequence[Any]) -> tuple[list[str], list[list[Any]]]:
    header = ["criterion", "replies", "per cent", "Krippendorff's alpha", "Gwet's AC1"]
    rows = [
        [CRITERIA[one.criterion], one.units, str(one.percent), f"{one.alpha} ({one.level})", str(one.ac1)]
        for one in found
    ]
    return header, rows


def p_value(p: float | None, why: str = "") -> str:
    """A p as it is printed: never as 0."""
    if p is None:
        return f"undefined ({why})" if why else "-"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; what comes from outside can't break out of its cell."""
    cells = [[_cell(value) for value in row] for row in (header, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:]])


def _cell(value: Any) -> str:
    text = " ".join(str(value).split())
    for sign in "\\|<>`*_[]":
        text = text.replace(sign, f"\\{sign}")
    return text
