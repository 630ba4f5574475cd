"""From judgements to figures: what a study found, with all raters and without the flagged ones.

    rows = judgements(db)                       # of study.store: a dict per judgement
    found = analyse(rows, contrast=...)
    found.everybody.conditions[0].rates["forgotten"]

For each condition: how often forgotten, with Wilson's interval (judgements as if independent) and the clustered one
(judgements of a rater hang together; the one to report); entailment and trust where forgotten, with their n; and the
unconditional share forgotten *and* trusted, because the ratings that exist only where something was forgotten compare
a different set of replies under each condition. The comparisons are explained in comparisons.py, agreement in
agreement.py, the flags in flags.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import BadInput
from . import comparisons
from .agreement import Agreement, agreement
from .cells import CRITERIA, DRAWS, LEVELS, Row, cells, clustered, value_of
from .comparisons import Comparison, Contrast, Odds, Omnibus
from .flags import flagged, is_judgement
from .power import Power, reached
from .stat import Stat, wilson

_SHARES = ("forgotten", "trusted")


@dataclass(frozen=True)
class Condition:
    """One condition's figures. `rates`: share with Wilson's interval; `means`: share or mean level with the
    interval clustered by rater; both by criterion. `levels`: how many 1s, 2s ... 5s, by scale."""

    name: str
    judgements: int
    raters: int
    items: int
    rates: dict[str, Stat]
    means: dict[str, Stat]
    levels: dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Results:
    """What one set of raters gives."""

    raters: int
    judgements: int
    per_rater: tuple[int, int]  # fewest and most judgements of a rater
    conditions: tuple[Condition, ...]
    planned: tuple[Comparison, ...]  # empty where nothing was planned
    over_questions: tuple[Comparison, ...]
    omnibus: tuple[Omnibus, ...]
    odds: tuple[Odds, ...]
    agreement: tuple[Agreement, ...]  # over all replies judged twice or more
    agreement_common: tuple[Agreement, ...]  # over the items that all raters saw
    power: tuple[Power, ...]


@dataclass(frozen=True)
class Analysis:
    """The whole. `unflagged` is None where nobody was flagged, or where that would leave nobody."""

    contrast: Contrast | None
    flags: dict[str, list[str]]
    everybody: Results
    unflagged: Results | None
    checks: dict[str, int]  # attention checks: answered, failed
    left_out: dict[str, int]  # rows that are no judgements about a condition: practice, attention checks
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON; what is undefined is null and says why."""
        return {**asdict(self), "everybody": _json(self.everybody), "unflagged": _json(self.unflagged)}


def analyse(
    rows: Sequence[Row],
    conditions: Sequence[str] | None = None,
    contrast: Contrast | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Analysis:
    """Analyse judgements (columns as in docs/study.md).

    conditions: in the order in which they are to be shown; default: by name. Raises BadInput where there is nothing
    to analyse, or where the contrast names a condition that has no judgement.
    """
    rows = list(rows)
    judged = [row for row in rows if is_judgement(row)]
    if not judged:
        raise BadInput("There are no judgements yet, so there is nothing to analyse.")
    there = {row["condition"] for row in judged}
    names = [name for name in conditions or sorted(there) if name in there]
    names += sorted(there - set(names))
    for name in contrast.conditions if contrast else ():
        if name not in there:
            raise BadInput(f"The planned contrast needs the condition {name!r}, which nobody has judged.")
    flags = flagged(rows)
    kept = [row for row in judged if row["rater"] not in flags]
    checks = [row for row in rows if row.get("attention_check") and not row.get("practice")]
    return Analysis(
        contrast=contrast,
        flags=flags,
        everybody=_results(judged, names, contrast, draws, seed),
        unflagged=_results(kept, names, contrast, draws, seed) if flags and kept else None,
        checks={"answered": len(checks), "failed": sum(row.get("check_passed") is False for row in checks)},
        left_out={"practice": sum(bool(row.get("practice")) for row in rows), "attention checks": len(checks)},
        notes=tuple(_notes(judged, kept, flags, contrast)),
    )


def describe(rows: Sequence[Row], names: Sequence[str], draws: int = DRAWS, seed: int = 0) -> list[Condition]:
    """The figures of each condition."""
    nothing = "no reply was judged forgotten"
    means = {criterion: clustered(cells(rows, names, criterion), draws, seed, nothing) for criterion in CRITERIA}
    found = []
    for place, name in enumerate(names):
        mine = [row for row in rows if row["condition"] == name]
        found.append(
            Condition(
                name=name,
                judgements=len(mine),
                raters=len({row["rater"] for row in mine}),
                items=len({row["item"] for row in mine}),
                rates={c: wilson(sum(value_of(row, c) for row in mine), len(mine)) for c in _SHARES},
                means={criterion: means[criterion][place] for criterion in CRITERIA},
                levels={scale: _levels(mine, scale) for scale in ("entailment", "trust")},
            )
        )
    return found


def _results(rows: Sequence[Row], names: Sequence[str], contrast: Contrast | None, draws: int, seed: int) -> Results:
    names = [name for name in names if any(row["condition"] == name for row in rows)]
    if contrast and not set(contrast.conditions) <= set(names):
        contrast = None  # the flagged raters were the only ones that saw it
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["rater"]] = counts.get(row["rater"], 0) + 1
    planned = comparisons.planned(rows, contrast, draws, seed) if contrast else []
    trust = next((one for one in planned if one.criterion == "trust"), None)
    most = max(counts.values())
    return Results(
        raters=len(counts),
        judgements=len(rows),
        per_rater=(min(counts.values()), most),
        conditions=tuple(describe(rows, names, draws, seed)),
        planned=tuple(planned),
        over_questions=tuple(comparisons.over_questions(rows, contrast, draws, seed)) if contrast else (),
        omnibus=tuple(comparisons.omnibus(rows, names, criterion, draws) for criterion in CRITERIA),
        odds=tuple(comparisons.gee(rows, contrast, criterion) for criterion in CRITERIA) if contrast else (),
        agreement=tuple(_agreements(rows, seed)),
        agreement_common=tuple(_agreements([row for row in rows if row.get("common")], seed)),
        power=tuple(reached(trust.spread, trust.difference.n, most, len(names))) if trust else (),
    )


def _agreements(rows: Sequence[Row], seed: int) -> list[Agreement]:
    """Forget quality (nominal) and the two scales (ordinal)."""
    found = []
    for criterion, categories, level in (
        ("forgotten", (0, 1), "nominal"),
        ("entailment", LEVELS, "ordinal"),
        ("trust", LEVELS, "ordinal"),
    ):
        judged = [((row["item"], row["condition"]), value_of(row, criterion)) for row in rows]
        pairs = [(unit, value) for unit, value in judged if value is not None]
        found.append(agreement(criterion, pairs, categories, level, seed))
    return found


def _levels(rows: Sequence[Row], scale: str) -> tuple[int, ...]:
    values = [value_of(row, scale) for row in rows]
    return tuple(values.count(level) for level in LEVELS)


def _notes(
    judged: Sequence[Row], kept: Sequence[Row], flags: dict[str, list[str]], contrast: Contrast | None
) -> list[str]:
    raters = len({row["rater"] for row in judged})
    notes = []
    if contrast is None:
        notes.append(
            "No contrast was planned: no method was run with and without self-improvement. The comparisons of all "
            "conditions explore; they don't confirm."
        )
    if raters < 10:
        notes.append(f"{raters} raters are few: intervals from drawing raters are rough below ten.")
    if flags:
        left = "without them nobody is left" if not kept else "the figures are given with and without them"
        notes.append(f"{len(flags)} of {raters} raters are flagged; {left}.")
    if any(not row["forgotten"] for row in judged):
        notes.append(
            "Entailment and trust exist only where a reply was judged forgotten, so they compare different replies "
            "under each condition; read them beside the forget quality and the share forgotten and trusted."
        )
    return notes


def _json(results: Results | None) -> dict[str, Any] | None:
    if results is None:
        return None
    listed = ("planned", "over_questions", "omnibus")
    return {**asdict(results), **{name: [one.to_json() for one in getattr(results, name)] for name in listed}}
